import json
import socket
import threading

import pytest

from checks.docker_engine import engine_info, takes_unverified
from checks.errors import CheckError

INFO = {
    "RegistryConfig": {
        "IndexConfigs": {"nas:5000": {"Secure": False}, "docker.io": {"Secure": True}},
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "10.9.0.0/16", "::1/128"],
    }
}


@pytest.fixture
def engine(tmp_path):
    """An engine that answers one request; gives its DOCKER_HOST."""
    path = tmp_path / "docker.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer():
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            body = json.dumps(INFO).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"unix://{path}"
    listener.close()


def test_the_engine_of_docker_host_is_asked(engine):
    assert engine_info({"DOCKER_HOST": engine}) == INFO


def test_an_engine_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(CheckError, match="no Docker engine answers at unix:///"):
        engine_info({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})


def test_an_engine_on_another_machine_is_not_asked():
    with pytest.raises(CheckError, match="not on this machine"):
        engine_info({"DOCKER_HOST": "tcp://nas:2375"})


@pytest.mark.parametrize(
    ("address", "resolved", "unverified"),
    [
        ("nas:5000", [], True),
        ("registry.homelab.local", ["127.0.0.1"], True),
        ("registry.homelab.local", ["::1"], True),
        ("registry.homelab.local", ["10.9.3.4"], True),
        ("registry.homelab.local", ["192.168.1.5"], False),
        ("docker.io", ["127.0.0.1"], False),
    ],
)
def test_docker_asks_for_no_certificate_at_loopback_and_insecure_addresses(address, resolved, unverified):
    assert takes_unverified(INFO, address, resolved) is unverified
