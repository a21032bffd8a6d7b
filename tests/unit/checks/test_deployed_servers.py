import socket
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from checks.deployed_servers import require_deployed_servers
from checks.errors import CheckError
from config.providers import deployed_endpoint


class Answering(ThreadingHTTPServer):
    """Plays a server that knows one token, or that has no ACLs."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = 200, "{}"
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Answering() as made:
        yield made
        made.shutdown()


@pytest.fixture
def nowhere():
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def told(settings, *deployed):
    with pytest.raises(CheckError) as caught:
        require_deployed_servers("dev", settings.providers, deployed)
    return str(caught.value)


TOKENS = {"nomad": "secretId", "consul": "token", "vault": "token"}


@pytest.mark.parametrize("package", TOKENS)
def test_an_address_that_moved_is_said_with_the_command_that_leaves_the_refresh_out(ready, nowhere, package):
    moved = deployed_endpoint(package, {"address": nowhere}, {})

    text = told(ready(), moved)

    assert f"{moved.name} at {nowhere} does not answer (connection refused)\n" in text
    assert text.endswith("\n  pulumi up --refresh=false --stack dev")


@pytest.mark.parametrize(("package", "token"), TOKENS.items())
def test_a_token_that_ended_is_said_and_not_shown(ready, server, package, token):
    server.status, server.body = 403, "ACL token not found"
    ended = deployed_endpoint(package, {"address": server.address, token: "s.ended"}, {})

    text = told(ready(), ended)

    assert f"{ended.name} at {server.address} answers 403 to the token of then: ACL token not found" in text
    assert "s.ended" not in text


@pytest.mark.parametrize(("package", "token"), TOKENS.items())
def test_what_still_answers_is_no_problem_though_it_is_not_what_the_stack_has_now(
    ready, server, package, token
):
    old = deployed_endpoint(package, {"address": server.address, token: "s.good"}, {})

    require_deployed_servers("dev", ready().providers, [old])

    server.status, server.body = 401, "ACL support disabled"
    require_deployed_servers("dev", ready().providers, [old])


def test_what_did_not_change_is_not_asked(ready, nowhere):
    settings = ready(servers={"nomad:address": nowhere})

    require_deployed_servers("dev", settings.providers, [settings.providers.nomad])
    assert "does not answer" in told(settings, replace(settings.providers.nomad, token="s.other"))
