import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from jobs.tasks.vault_api import Vault, VaultError


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls_address(authority):
    """A server that speaks TLS and answers {} to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_vaults_certificate_is_checked_by_the_ca_file(environment, tls_address, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    given = {**environment, "VAULT_ADDR": tls_address, "VAULT_CACERT": str(tmp_path / "ca.pem")}

    assert Vault.of_task(given).get("sys/health") == {}


def test_a_certificate_that_is_not_trusted_names_the_setting(environment, tls_address):
    with pytest.raises(VaultError, match="certificate is not trusted here; set vault:caCertFile"):
        Vault.of_task({**environment, "VAULT_ADDR": tls_address}).get("sys/health")


def test_a_new_token_of_nomads_is_used_at_once(vault, environment, tmp_path):
    vault.answers["GET sys/health"] = (200, {})
    Vault.of_task(environment).get("sys/health")
    (tmp_path / "secrets" / "vault_token").write_text("renewed")
    Vault.of_task(environment).get("sys/health")

    assert [token for token, _ in vault.sent("GET", "sys/health")] == ["nomads-token", "renewed"]


def test_a_proxy_of_the_environment_is_not_asked(vault, environment, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    vault.answers["GET sys/health"] = (200, {"initialized": True})

    assert Vault.of_task(environment).get("sys/health") == {"initialized": True}


def test_what_does_not_speak_http_is_no_vault(environment, babbler):
    with pytest.raises(VaultError, match=f"Vault at {babbler}: GET sys/health failed: nonsense"):
        Vault.of_task({**environment, "VAULT_ADDR": babbler}).get("sys/health")
