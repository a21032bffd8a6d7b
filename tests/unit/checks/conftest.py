import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from checks.servers import Servers

ANSWERS = Path(__file__).parent / "answers"
PORTS = {4646: "nomad", 8500: "consul", 8200: "vault"}


@pytest.fixture
def recorded():
    """Answers of real servers (Nomad 1.6.3, Consul 1.15.3), recorded with the job in some state."""
    return lambda name: json.loads((ANSWERS / f"{name}.json").read_text())


@pytest.fixture
def servers():
    """Clients of servers that give the answers they are handed: by path, or by server and path.

    An answer is an exception to raise, the status and the body to send, or a function that makes these.
    """
    opened = []

    def make(settings, answers):
        def answer(request):
            path = request.url.path
            if "type" in request.url.params:
                path += f"?type={request.url.params['type']}"
            found = answers.get(f"{PORTS[request.url.port]} {path}") or answers.get(path)
            if found is None:
                return httpx.Response(404, text="not found")
            if isinstance(found, Exception):
                raise found
            if callable(found):
                found = found(request)
            body = found["body"]
            if isinstance(body, str):
                return httpx.Response(found["status"], text=body)
            return httpx.Response(found["status"], json=body)

        opened.append(Servers(settings.providers, httpx.MockTransport(answer)))
        return opened[-1]

    yield make
    for each in opened:
        each.__exit__(None, None, None)


@pytest.fixture
def good():
    """Answers of servers that are ready for a deploy by the settings of `ready`."""

    def ok(body):
        return {"status": 200, "body": body}

    node = {
        "ID": "53161eab-38a8-1cfc-fa95-d30f3186a051",
        "Name": "nas",
        "Status": "ready",
        "Datacenter": "dc1",
        "Address": "127.0.0.1",
        "HostVolumes": {"registry_data": {"Path": "/srv/registry_data", "ReadOnly": False}},
    }
    return {
        "nomad /v1/status/leader": ok(["127.0.0.1:4647"]),
        "nomad /v1/agent/self": ok({"config": {"Version": {"Version": "1.6.3"}}}),
        "nomad /v1/nodes": ok([node]),
        "nomad /v1/allocations": ok([]),
        "nomad /v1/job/docker-registry/plan": ok({"Diff": {"Type": "Added"}}),
        "consul /v1/status/leader": ok(["127.0.0.1:8300"]),
        "consul /v1/agent/self": ok({"Config": {"Version": "1.15.3"}}),
        "consul /v1/catalog/services": ok({"consul": []}),
        "consul /v1/catalog/service/registry": ok([]),
        "consul /v1/catalog/service/registry-metrics": ok([]),
        "consul /v1/internal/acl/authorize": {"status": 401, "body": "ACL support disabled"},
        "vault /v1/sys/health": ok({"initialized": True, "sealed": False}),
        "vault /v1/sys/capabilities-self": lambda request: ok(
            {"data": {path: ["root"] for path in json.loads(request.content)["paths"]}}
        ),
        "vault /v1/sys/internal/ui/mounts/secret": ok({"data": {"type": "kv", "options": {"version": "2"}}}),
    }


@pytest.fixture
def ready(read_settings):
    """Settings that fit the answers of `good`."""

    def read(**changes):
        sections = {
            "storage": {"path": "/srv/registry_data"},
            "vault": {"identity": "policies"},
            **changes.pop("sections", {}),
        }
        tokens = {
            "nomad:address": "http://127.0.0.1:4646",
            "consul:address": "127.0.0.1:8500",
            "vault:address": "http://127.0.0.1:8200",
            "vault:token": "hvs.secret-token",
        }
        servers = {key: value for key, value in {**tokens, **changes.pop("servers", {})}.items() if value}
        return read_settings(servers=servers, **sections)

    return read


class WebServer:
    """An HTTP or HTTPS server on loopback that gives one answer to everything."""

    def __init__(self, *, body, code=200, headers=None, certificate=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # a client that breaks off is part of a test
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.address = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def web_server():
    opened = []

    def make(**options):
        opened.append(WebServer(**options))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
