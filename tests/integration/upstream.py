"""A registry that mirrors pull from: counts what it is asked, may ask for a password, and may go away."""

import base64
import contextlib
import http.client
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from devcluster.programs import REGISTRY, find_or_build

CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/store}}}}
http: {{addr: 127.0.0.1:{port}}}
"""
# Of a request and its answer: what is about one connection.
HOP = {"connection", "transfer-encoding", "host"}


class Upstream:
    """What a test does with it; `address` is host and port as containers reach them."""

    def __init__(self, host, registry_port, login=None, port=0):
        self.login, self.asked, self.logins = login, [], set()
        self._registry, self._lock = registry_port, threading.Lock()
        self._server, self._host, self.port = None, host, port
        self.start()

    @property
    def url(self):
        return f"http://{self._host}:{self.port}"

    def start(self):
        self._server = ThreadingHTTPServer((self._host, self.port), self._handler())
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def away(self):
        self.stop()
        try:
            yield
        finally:
            self.start()

    def requests(self, kind):
        """Paths of the blobs or manifests that were fetched since the last `forget`."""
        return [path for method, path in self.asked if method == "GET" and f"/{kind}/" in path]

    def forget(self):
        self.asked.clear()

    def _handler(upstream):  # noqa: N805 - the handler has a `self` of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                with upstream._lock:
                    upstream.asked.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if upstream.login and not self.knows():
                    self.reply(401, {"WWW-Authenticate": 'Basic realm="upstream"'}, b"")
                    return
                headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
                connection = http.client.HTTPConnection("127.0.0.1", upstream._registry, timeout=30)
                connection.request(self.command, self.path, body, {**headers, "Host": self.headers["Host"]})
                found = connection.getresponse()
                self.reply(found.status, dict(found.getheaders()), found.read())
                connection.close()

            def knows(self):
                given = self.headers.get("Authorization", "")
                if given:
                    upstream.logins.add(base64.b64decode(given.removeprefix("Basic ")).decode())
                return given == "Basic " + base64.b64encode(upstream.login.encode()).decode()

            def reply(self, status, headers, body):
                self.send_response(status)
                for key, value in headers.items():
                    if key.lower() not in HOP | {"content-length"}:
                        self.send_header(key, value)
                length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = answer  # noqa: N815 - the base class's names

            def handle(self):
                with contextlib.suppress(ConnectionError):  # a client that has enough
                    super().handle()

            def log_message(self, *_):
                pass

        return Handler


@contextmanager
def registry(folder, port):
    """The store behind the upstreams: one process, ended by its pid."""
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=port))
    command = [find_or_build(REGISTRY), "serve", str(folder / "config.yml")]
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < deadline, "the upstream does not start"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/").status_code == 200
    except httpx.TransportError:
        return False
