import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from checks.upstreams import problems

GOOD = "Basic " + base64.b64encode(b"me:hunter2").decode()


@pytest.fixture
def upstream():
    """A registry that asks for a password itself, or sends to its token server, or to another one."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            base = f"http://127.0.0.1:{self.server.server_port}"
            challenge = {
                "basic": 'Basic realm="x"',
                "token": f'Bearer realm="{base}/token?a=b",service="hub"',
                "elsewhere": f'Bearer realm="http://localhost:{self.server.server_port}/token"',
            }.get(server.kind)
            known = self.headers["Authorization"] == GOOD
            if self.path == "/v2/" and challenge and not (server.kind == "basic" and known):
                self.send_response(401)
                self.send_header("WWW-Authenticate", challenge)
            else:
                self.send_response(200 if known or not challenge else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.kind, server.asked = "basic", asked
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def told(read_settings, upstream):
    def ask(kind, password, **sections):
        upstream.kind = kind
        mirror = {
            "name": "hub",
            "upstream": f"http://127.0.0.1:{upstream.server_port}",
            "port": 5010,
            "username": "me",
            "password": password,
        }
        open_one = {"name": "quay", "upstream": "http://127.0.0.1:1", "port": 5011}
        return problems(read_settings(mirrors=[open_one, mirror], **sections))

    return ask


@pytest.mark.parametrize("kind", ["basic", "token", "open"])
def test_a_user_whom_the_upstream_knows_is_fine(told, kind):
    assert told(kind, "hunter2") == []


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_a_wrong_password_is_told_with_mirror_upstream_and_user(told, upstream, kind):
    (problem,) = told(kind, "wrong-one")

    assert problem.startswith(f"docker-registry:mirrors[1]: http://127.0.0.1:{upstream.server_port} refuses ")
    assert "the user of mirror hub with this password (401)" in problem
    assert "wrong-one" not in problem


def test_the_token_server_is_asked_for_its_service(told, upstream):
    told("token", "hunter2")

    assert upstream.asked[-1] == ("/token?a=b&service=hub", GOOD)


def test_another_ones_token_server_never_sees_the_password(told, upstream):
    assert told("elsewhere", "hunter2") == []
    assert [login for _, login in upstream.asked if login] == []


def test_2_x_cannot_log_in_at_an_upstream_that_asks_itself(told):
    (problem,) = told("basic", "hunter2", registry={"image": "registry:2"})

    assert "2.x logs in at token servers only: set registry.image to 3.x" in problem


def test_an_upstream_that_does_not_answer_here_is_none_of_the_deployers_business(read_settings):
    mirror = {"name": "hub", "upstream": "http://127.0.0.1:1", "port": 5010}

    assert problems(read_settings(mirrors=[{**mirror, "username": "me", "password": "hunter2"}])) == []
