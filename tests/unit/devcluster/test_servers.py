import os
import random
import signal
import socket
import sys
import time

import pytest

from devcluster.errors import ClusterError
from devcluster.instance import Instance
from devcluster.servers import (
    Server,
    answers,
    check_ports,
    kill_left_over,
    log_of,
    running_pid,
    start,
    stop,
    wait,
)

SERVE = """
import http.server
http.server.HTTPServer(("127.0.0.1", {port}), http.server.BaseHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def instance(tmp_path):
    made = Instance(root=tmp_path)
    yield made
    kill_left_over(made)


@pytest.fixture
def port():
    # Below the range from which the kernel takes ports for clients, which may take a free one at any time.
    return next(number for number in random.sample(range(12_000, 19_000), 100) if not listens(number))


def server(port, script=SERVE, **changes):
    made = {
        "name": "web",
        "command": (sys.executable, "-c", script.format(port=port)),
        "files": {},
        "healthy": lambda: listens(port),
        "ports": {"the web": port},
    }
    return Server(**(made | changes))


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_is_started_once_and_stopped(instance, port):
    web = server(port)
    assert start(web, instance)
    wait(web, instance)
    assert not start(web, instance)
    assert stop(web, instance)
    assert not listens(port)
    assert not stop(web, instance)


def test_a_server_whose_files_changed_is_restarted_with_the_new_ones(instance, port):
    file = instance.root / "web.json"
    start(server(port, files={file: "{}"}), instance)
    wait(server(port), instance)
    first = running_pid(server(port), instance)
    assert start(server(port, files={file: "[]"}), instance)
    assert running_pid(server(port), instance) != first
    assert file.read_text() == "[]"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_server_that_ignores_the_signal_is_killed(instance, port, monkeypatch):
    monkeypatch.setattr("devcluster.servers.STOP_SECONDS", 0.2)
    stubborn = server(port, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVE)
    start(stubborn, instance)
    wait(stubborn, instance)
    assert stop(stubborn, instance)
    assert not listens(port)


def test_a_server_that_dies_tells_the_end_of_its_log(instance, port):
    broken = server(port, "print('line 1'); raise SystemExit('the disk is full')")
    start(broken, instance)
    with pytest.raises(ClusterError) as error:
        wait(broken, instance)
    assert "web stopped while it started" in str(error.value)
    assert str(log_of(broken, instance)) in str(error.value)
    assert "the disk is full" in str(error.value)


def test_a_pid_that_another_process_has_now_is_left_alone(instance, port):
    (instance.root / "run").mkdir()
    (instance.root / "run" / "web.json").write_text(f'{{"pid": {os.getpid()}, "digest": ""}}')
    assert running_pid(server(port), instance) is None
    assert not stop(server(port), instance)


def test_what_a_killed_server_had_started_is_ended_with_its_children(instance, port):
    # The grandchild has no environment, as a container has none of ours.
    run = "import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}], env={env})"
    child = run.format(script=SERVE.format(port=port), env="{}")
    script = run.format(script=child, env="None")
    parent = server(port, command=(sys.executable, "-c", script))
    start(parent, instance)
    wait(parent, instance)
    os.kill(running_pid(parent, instance), signal.SIGKILL)
    assert listens(port)
    kill_left_over(instance)
    deadline = time.monotonic() + 5
    while listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_port_in_use_is_named_with_what_wants_it_and_who_has_it():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(
            ClusterError, match=f"port {port}, needed for the web, is in use by .*pid {os.getpid()}"
        ):
            check_ports({"the web": port})
    check_ports({"the web": port})


def test_a_server_that_does_not_answer_is_not_healthy(port):
    assert not answers(f"http://127.0.0.1:{port}/")
