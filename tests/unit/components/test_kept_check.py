import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from components.kept_check import FORGET


@pytest.fixture
def consul():
    """An agent that answers every request alike, and what it was asked: path and token."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            asked.append((self.path, self.headers["X-Consul-Token"]))
            self.send_response(self.server.code)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked = asked
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("code", "succeeds"), [(200, True), (404, True), (403, False)])
def test_a_check_that_is_not_there_counts_as_taken_out(consul, code, succeeds):
    consul.code, address = code, f"http://127.0.0.1:{consul.server_port}"
    done = subprocess.run(
        [sys.executable, "-c", FORGET],
        env={"CONSUL": address, "CHECK": "registry-scan", "TOKEN": "t"},
        capture_output=True,
        check=False,
    )

    assert (done.returncode == 0) is succeeds
    assert consul.asked == [("/v1/agent/service/deregister/registry-scan", "t")]
