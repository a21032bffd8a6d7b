import re
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme

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


def forget(address, **more):
    return subprocess.run(
        [sys.executable, "-c", FORGET],
        env={"CONSUL": address, "CHECK": "registry-scan", "TOKEN": "t", **more},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_consul_that_does_not_answer_is_named_in_one_line():
    assert re.fullmatch(
        r"check registry-scan stays in Consul at http://127\.0\.0\.1:1: .*refused\n",
        forget("http://127.0.0.1:1").stderr,
    )


@pytest.mark.parametrize(
    ("trust", "succeeds"), [("CA_FILE", True), ("SKIP_VERIFY", True), ("none", False)], ids=str
)
def test_consuls_tls_is_spoken_as_the_stack_says(consul, tmp_path, trust, succeeds):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    client = authority.issue_cert("client")
    files = {"CA_FILE": tmp_path / "ca", "CERT_FILE": tmp_path / "cert", "KEY_FILE": tmp_path / "key"}
    authority.cert_pem.write_to_path(files["CA_FILE"])
    client.cert_chain_pems[0].write_to_path(files["CERT_FILE"])
    client.private_key_pem.write_to_path(files["KEY_FILE"])
    consul.socket, consul.code = context.wrap_socket(consul.socket, server_side=True), 200
    options = {key: str(file) for key, file in files.items() if key in ("CERT_FILE", "KEY_FILE", trust)}

    done = forget(f"https://127.0.0.1:{consul.server_port}", **{trust: "true", **options})

    assert (done.returncode == 0, bool(consul.asked)) == (succeeds, succeeds)


@pytest.mark.parametrize(("code", "succeeds"), [(200, True), (404, True), (403, False)])
def test_a_check_that_is_not_there_counts_as_taken_out(consul, code, succeeds):
    consul.code, address = code, f"http://127.0.0.1:{consul.server_port}"
    done = forget(address)

    assert (done.returncode == 0) is succeeds
    assert consul.asked == [("/v1/agent/service/deregister/registry-scan", "t")]
