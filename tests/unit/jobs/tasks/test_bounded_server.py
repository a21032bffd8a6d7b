import socket
import threading
import time
from contextlib import contextmanager, suppress

import httpx
import pytest

from jobs.tasks import bounded_server as script
from jobs.tasks.bounded_server import BoundedHandler, BoundedServer


class Handler(BoundedHandler):
    def do_GET(self):  # noqa: N802 - the base class's name
        if self.path == "/slow":
            self.server.release.wait(30)
        self.send_response(200)
        self.end_headers()
        try:
            self.wfile.write(b"x" * (100_000_000 if self.path == "/big" else 2))
        except OSError:
            self.server.cut.set()
            raise


@contextmanager
def running():
    server = BoundedServer(("127.0.0.1", 0), Handler)
    server.release, server.cut = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server():
    with running() as made:
        yield made


@pytest.fixture
def connect(server):
    made = []

    def open_one(text=b""):
        made.append(socket.create_connection(("127.0.0.1", server.server_port)))
        made[-1].sendall(text)
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def get(server, path="/"):
    return httpx.get(f"http://127.0.0.1:{server.server_port}{path}", timeout=20)


def is_ended(connection):
    connection.settimeout(10)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("text", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_thousand_connections_without_a_whole_request_keep_nobody_waiting(server, connect, text):
    before = threading.active_count()
    for number in range(1000):
        with suppress(ConnectionError):  # it gave way before it had said that much
            connect(text)
        if number % 100 == 0:
            assert get(server).status_code == 200
        assert threading.active_count() - before <= script.CONNECTIONS

    assert get(server).status_code == 200


def test_the_connection_that_waits_longest_gives_way(server, connect):
    first = connect()
    others = [connect() for _ in range(script.CONNECTIONS - 1)]
    time.sleep(0.2)
    connect()

    assert is_ended(first)
    others[0].sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert others[0].recv(100).startswith(b"HTTP/1.0 200")


def test_one_that_is_being_answered_does_not_give_way(server, connect):
    slow = [connect(b"GET /slow HTTP/1.0\r\n\r\n") for _ in range(script.CONNECTIONS)]
    time.sleep(0.2)
    with pytest.raises(httpx.TransportError):
        get(server)

    server.release.set()
    for each in slow:
        each.settimeout(10)
        assert each.recv(100).startswith(b"HTTP/1.0 200")
    assert get(server).status_code == 200


def test_a_client_that_drips_its_request_is_ended_in_time(server, connect, monkeypatch):
    monkeypatch.setattr(script, "REQUEST_SECONDS", 0.3)
    connection, started = connect(b"GET / HTTP/1.1\r\n"), time.monotonic()

    with pytest.raises(ConnectionError):
        for _ in range(500):
            connection.sendall(b"X")
            time.sleep(0.02)
    assert time.monotonic() - started < 8


def test_a_client_that_does_not_take_its_answer_is_ended_in_time(server, connect, monkeypatch):
    monkeypatch.setattr(script, "ANSWER_SECONDS", 0.3)
    connect(b"GET /big HTTP/1.0\r\n\r\n")

    assert server.cut.wait(10)
    assert get(server).status_code == 200


def test_no_thread_to_be_had_is_the_connections_end_and_not_the_servers(server, monkeypatch, capfd):
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("can't")))
        for _ in range(2 * script.CONNECTIONS):
            with pytest.raises(httpx.TransportError):
                get(server)

    assert get(server).status_code == 200
    assert "RuntimeError" in capfd.readouterr().err


def test_a_client_that_goes_is_not_logged(server, connect, capfd):
    connect(b"GET /big HTTP/1.0\r\n\r\n").close()
    assert server.cut.wait(10)
    assert get(server).status_code == 200
    assert capfd.readouterr().err == ""
