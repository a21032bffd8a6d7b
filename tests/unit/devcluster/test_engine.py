import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from devcluster import engine
from devcluster.errors import ClusterError
from devcluster.instance import Instance


class Api(BaseHTTPRequestHandler):
    """A Docker Engine API that only pings and lists containers."""

    containers = ()

    def do_GET(self):
        path = self.path.split("?")[0]
        self.send_response(200 if path in ("/_ping", "/containers/json") else 404)
        self.end_headers()
        self.wfile.write(json.dumps(self.containers).encode())

    def log_message(self, *_):
        pass

    def address_string(self):
        return "socket"


@pytest.fixture
def running_engine(tmp_path):
    path = tmp_path / "e.sock"
    with socketserver.UnixStreamServer(str(path), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()


@pytest.fixture(autouse=True)
def no_engine(monkeypatch, tmp_path):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "SYSTEM_HOST", f"unix://{tmp_path / 'none.sock'}")


def test_the_engine_that_runs_is_used_and_is_not_ours_to_stop(running_engine, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "SYSTEM_HOST", running_engine)
    chosen = engine.choose(Instance(root=tmp_path / "cluster"))
    assert (chosen.host, chosen.server) == (running_engine, None)


def test_ones_own_containers_are_told_by_one_request_that_nothing_can_change_halfway(
    running_engine, monkeypatch, tmp_path
):
    instance = Instance(root=tmp_path / "cluster")
    mounts = {
        "ours": instance.root / "nomad/alloc",
        "other": tmp_path / "other",
        "cluster2": f"{instance.root}2",
    }
    listed = [{"Id": name, "Mounts": [{"Source": f"{path}"}]} for name, path in mounts.items()]
    monkeypatch.setattr(Api, "containers", [*listed, {"Id": "bare", "Mounts": []}])
    assert engine.containers(running_engine, instance) == ["ours"]


def test_an_engine_that_does_not_list_its_containers_is_named(tmp_path):
    host = f"unix://{tmp_path / 'none.sock'}"
    with pytest.raises(ClusterError, match=f"the Docker engine at {host} does not list its containers"):
        engine.containers(host, Instance(root=tmp_path / "cluster"))


def test_docker_host_comes_before_the_systems_engine(running_engine, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", running_engine)
    assert engine.choose(Instance(root=tmp_path / "cluster")).host == running_engine


def test_without_an_engine_the_cluster_gets_its_own(tmp_path):
    instance = Instance(root=tmp_path / "cluster")
    chosen = engine.choose(instance)
    assert chosen.host == f"unix://{instance.docker_socket}"
    assert f"--bridge={instance.label}" in chosen.server.command


def test_an_own_engine_that_is_not_installed_yet_is_started_where_its_package_puts_it(monkeypatch, tmp_path):
    monkeypatch.setattr("devcluster.engine._which", lambda program: None)
    assert engine.server(Instance(root=tmp_path)).command[0] == "/usr/sbin/dockerd"


def test_an_own_engine_stays_in_use_when_another_one_starts_to_run(running_engine, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "SYSTEM_HOST", running_engine)
    instance = Instance(root=tmp_path / "cluster")
    (instance.root / "docker").mkdir(parents=True)
    assert engine.choose(instance).server is not None


def test_the_variable_that_the_env_file_sets_does_not_hide_that_the_engine_is_ours(monkeypatch, tmp_path):
    instance = Instance(root=tmp_path / "cluster")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{instance.docker_socket}")
    assert engine.choose(instance).server is not None


def test_tests_have_their_own_engine_beside_a_running_one(running_engine, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "SYSTEM_HOST", running_engine)
    assert engine.choose(Instance(root=tmp_path / "cluster", own_engine=True)).server is not None


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://nas"])
def test_an_engine_on_another_machine_is_refused(host, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(
        ClusterError, match=f"DOCKER_HOST is {host}, and .* mount folders of this machine: unset it"
    ):
        engine.choose(Instance(root=tmp_path / "cluster"))


def test_a_docker_host_where_nothing_answers_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(ClusterError, match="no engine answers there: start it, or unset DOCKER_HOST"):
        engine.choose(Instance(root=tmp_path / "cluster"))


def test_a_folder_too_long_for_a_socket_is_refused_before_anything_is_made():
    with pytest.raises(ClusterError, match="too long for a socket"):
        engine.prepare(Instance(root=Path("/", *["folder"] * 20)))


def test_no_docker_and_no_right_to_install_it_is_one_error(monkeypatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("devcluster.engine._which", lambda program: None)
    with pytest.raises(ClusterError, match=r"no Docker engine runs here.*`sudo apt-get install docker\.io"):
        engine.prepare(Instance(root=tmp_path / "cluster"))
