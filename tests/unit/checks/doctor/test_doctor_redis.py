import socket
import socketserver
import threading

import pytest

from checks.doctor.redis import redis_answers

LOOPBACK, RESOLVE = {"redis.lan": "127.0.0.1"}, socket.getaddrinfo


class Redis(socketserver.StreamRequestHandler):
    """Gives one answer to every command."""

    def handle(self):
        while header := self.rfile.readline():
            for _ in range(2 * int(header[1:])):
                self.rfile.readline()
            self.wfile.write(self.server.answer)


@pytest.fixture
def examined(look, monkeypatch):
    """What doctor says of a Redis that gives an answer to everything; None: that does not run."""

    def ask(answer, **redis):
        with socketserver.TCPServer(("127.0.0.1", 0), Redis, bind_and_activate=False) as server:
            server.answer = answer
            server.server_bind()
            if answer:
                server.server_activate()
                threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            # The settings take no loopback address: to a container that is itself.
            monkeypatch.setattr("socket.getaddrinfo", lambda host, *_: RESOLVE(LOOPBACK[host], *_))
            address = f"redis.lan:{server.server_address[1]}"
            found = look(redis_answers, sections={"registry": {"redis": {"address": address, **redis}}})
            if answer:
                server.shutdown()
            return found

    return ask


def test_a_redis_that_answers_is_ok(examined):
    assert examined(b"+PONG\r\n").state == "ok"
    assert examined(b"+OK\r\n", password="hunter2").state == "ok"


def test_a_redis_that_is_away_is_a_warning_since_the_registry_does_without(examined):
    found = examined(None)

    assert found.state == "warning"
    assert "cannot be reached" in found.what
    assert "docker-registry:registry.redis.address" in found.fix


def test_a_password_that_redis_refuses_is_a_warning_and_not_shown(examined):
    found = examined(b"-WRONGPASS invalid username-password pair\r\n", password="hunter2")

    assert found.state == "warning"
    assert "answered AUTH: WRONGPASS" in found.what
    assert "pulumi config set --secret --path docker-registry:registry.redis.password" in found.fix
    assert "hunter2" not in found.what + found.fix


def test_a_stack_without_redis_has_none_to_ask(look):
    assert look(redis_answers).state == "not looked at"
