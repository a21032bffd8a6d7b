import hashlib
import json
import os
import socketserver
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.tasks.nomad_api import NomadError


@dataclass
class Vault:
    """A server on loopback that answers as Vault does; keeps every request."""

    address: str = ""
    answers: dict = field(
        default_factory=dict
    )  # by "METHOD path": status and body, or a function of the body
    requests: list = field(default_factory=list)  # method, path, token, body

    def sent(self, method, path):
        asked = (method, path)
        return [(token, body) for *what, token, body in self.requests if tuple(what) == asked]


@pytest.fixture
def vault():
    fake = Vault()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = self.path.removeprefix("/v1/")
            fake.requests.append((self.command, path, self.headers.get("X-Vault-Token"), body))
            found = fake.answers.get(f"{self.command} {path}", (404, {"errors": []}))
            status, content = found(body) if callable(found) else found
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815 - the base class's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.address = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def babbler():
    """The address of a server that does not speak HTTP."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(b"nonsense\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(vault, tmp_path):
    """What Nomad gives a task: its token is in a file."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "vault_token").write_text("nomads-token\n")
    return {"VAULT_ADDR": vault.address, "NOMAD_SECRETS_DIR": str(secrets)}


@pytest.fixture
def waits(monkeypatch):
    """Do not wait, but tell how long the script would have."""
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


class StoredImages:
    """Writes a store as the registry does (distribution 3.1, registry/storage/paths.go)."""

    def __init__(self, directory):
        self.directory = directory
        self.root = directory / "docker" / "registry" / "v2"

    def blob(self, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        data = self.data(digest)
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_bytes(content)
        return digest

    def data(self, digest):
        """Where a blob is."""
        algorithm, _, value = digest.partition(":")
        return self.root / "blobs" / algorithm / value[:2] / value / "data"

    def by_sha512(self, repository, content):
        """Push a layer by its sha512, as the registry keeps it; that digest."""
        value = hashlib.sha512(content).hexdigest()
        link = self.manifests(repository).parent / "_layers" / "sha512" / value / "link"
        link.parent.mkdir(parents=True)
        link.write_text(self.blob(content))
        return f"sha512:{value}"

    def manifest(self, repository, content, pushed=0):
        """Push a manifest by its digest: an image of these layers, or any JSON."""
        if not isinstance(content, dict):
            content = {
                "schemaVersion": 2,
                "config": {"digest": self.blob(b"{}")},
                "layers": [{"digest": self.blob(layer.encode())} for layer in content],
            }
        digest = self.blob(json.dumps(content).encode())
        self._link(self.manifests(repository) / "revisions" / digest.replace(":", "/"), digest, pushed)
        return digest

    def index(self, repository, *children, pushed=0):
        content = {"schemaVersion": 2, "manifests": [{"digest": child} for child in children]}
        return self.manifest(repository, content, pushed)

    def referrer(self, repository, subject, text, pushed=0):
        """Push an SBOM or a signature, and the tag by which clients find it: `sha256-…`."""
        layer = {"digest": self.blob(text.encode())}
        content = {"schemaVersion": 2, "layers": [layer], "subject": {"digest": subject}}
        digest = self.manifest(repository, content, pushed)
        index = self.index(repository, digest, pushed=pushed)
        self.tag(repository, subject.replace(":", "-"), index, pushed)
        return digest

    def tag(self, repository, name, digest, pushed=0):
        tag = self.manifests(repository) / "tags" / name
        self._link(tag / "index" / digest.replace(":", "/"), digest, pushed)
        self._link(tag / "current", digest, pushed)

    def image(self, repository, name, *layers, pushed=0):
        """Push an image by a tag; its one layer is the tag's name if no layers are given."""
        digest = self.manifest(repository, layers or [name], pushed)
        self.tag(repository, name, digest, pushed)
        return digest

    def manifests(self, repository):
        return self.root / "repositories" / repository / "_manifests"

    def _link(self, directory, digest, pushed):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "link").write_text(digest)
        os.utime(directory / "link", (pushed, pushed))


@pytest.fixture
def images(tmp_path):
    return StoredImages(tmp_path / "store")


class FakeNomad:
    """Nomad's API as a task sees it: allocations by id, variables with check-and-set."""

    def __init__(self):
        self.variables, self.allocations, self.index = {}, {}, 10
        self.before_write = []  # done once each before a write: what another job does meanwhile
        self.restarted, self.on_restart = [], lambda: None

    def get(self, path, **_):
        if path.startswith("/v1/var/"):
            return self.variables.get(path)
        if path.startswith("/v1/allocation/"):
            return self.allocations.get(path.rpartition("/")[2])
        return [each for each in self.allocations.values() if path == f"/v1/job/{each['JobID']}/allocations"]

    def put(self, path, body, *, cas=None):
        if path.startswith("/v1/client/allocation/"):
            self.restarted.append((path, body))
            return self.on_restart()
        self._check(path, cas)
        return self.set(path, body["Items"])

    def delete(self, path, *, cas):
        self._check(path, cas)
        del self.variables[path]

    def set(self, path, items):
        self.index += 1
        self.variables[path] = {"ModifyIndex": self.index, "Items": dict(items)}

    def _check(self, path, cas):
        if self.before_write:
            self.before_write.pop()()
        found = self.variables.get(path)
        if cas != (found["ModifyIndex"] if found else 0):
            raise NomadError("lost", 409)

    def add(self, allocation, job, status="running", **more):
        self.allocations[allocation] = {
            "ID": allocation,
            "JobID": job,
            "NodeID": "nas",
            "ClientStatus": status,
            **more,
        }


@pytest.fixture
def nomad(registry_server):
    """Nomad with a registry that runs, is frozen by the variable, and answers so."""
    fake = FakeNomad()
    port = {"Label": "registry", "HostIP": "127.0.0.1", "Value": registry_server.port}
    shared = {"Ports": [{"Label": "metrics", "HostIP": "127.0.0.1", "Value": 1}, port]}
    fake.add("r1", "docker-registry", AllocatedResources={"Shared": shared})
    registry_server.variable = lambda: fake.get("/v1/var/nomad/jobs/docker-registry")
    return fake


class RegistryServer:
    """Answers as the registry does that reads the variable: 401, with its mode and its freeze in headers.

    `variable` is what it has read of it; `always` is one that is read-only by the stack's word.
    """

    def __init__(self):
        outer, self.variable, self.always = self, lambda: None, False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                items = (outer.variable() or {}).get("Items") or {}
                frozen = items.get("mode") == "read-only"
                self.send_response(401 if self.path == "/v2/" else 200)
                if self.path == "/v2/":
                    self.send_header(
                        "X-Registry-Mode", "read-only" if frozen or outer.always else "read-write"
                    )
                    if frozen:
                        self.send_header("X-Registry-Freeze", items["owner"])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def registry_server():
    made = RegistryServer()
    yield made
    made.close()


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a script waits; what is to happen at a moment is in `at`."""
    return Clock(monkeypatch)


class Clock:
    def __init__(self, monkeypatch):
        self.now, self.at = 0.0, []
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds):
        self.now += seconds
        for moment, act in [each for each in self.at if each[0] <= self.now]:
            self.at.remove((moment, act))
            act()
