"""How preview and `up` grow with mirrors and with users."""

import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import bcrypt
import yaml
from rich.table import Table

from bench.cluster import deployed

MIRRORS, USERS = (1, 10, 100), (1, 100, 1000)


class _Upstream(BaseHTTPRequestHandler):
    """All that a mirror asks of its upstream when it starts."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def bench_mirrors() -> Table:
    """Add mirrors, each of an upstream of its own."""
    table = _table("mirrors")
    with deployed() as registry, _upstreams(registry, max(MIRRORS)) as urls:
        first = registry.ports.registry + 20
        small = {"auth": "none", "cpu": 10, "memory": 64}
        for number in MIRRORS:
            mirrors = [
                {"name": f"m{each}", "upstream": url, "port": first + each, **small}
                for each, url in enumerate(urls[:number])
            ]
            _write(registry, "mirrors", mirrors)
            table.add_row(str(number), *_measured(registry))
    return table


def bench_users() -> Table:
    """Add users. Their hashes are made before: bcrypt is slow by intent."""
    table = _table("users")
    hashed = bcrypt.hashpw(secrets.token_bytes(12), bcrypt.gensalt(10)).decode()
    with deployed() as registry:
        for number in USERS:
            users = registry.section("auth")["users"]
            added = {f"user{each}": hashed for each in range(number - 1)}
            _write(registry, "auth", {"mode": "htpasswd", "users": {**users, **added}})
            table.add_row(str(number), *_measured(registry))
    return table


def _table(what: str) -> Table:
    columns = (what, "preview before, s", "up, s", "preview after, s", "up again, s")
    return Table(*columns, title=f"The stack with many {what}", caption="one run each")


def _measured(registry: Any) -> list[str]:
    def preview() -> None:
        registry.run("pulumi", "preview", "--stack", "dev")

    found = []
    for run in (preview, registry.up, preview, registry.up):
        started = time.perf_counter()
        run()
        found.append(f"{time.perf_counter() - started:.1f}")
    return found


def _write(registry: Any, section: str, content: object) -> None:
    settings = yaml.safe_load(registry.settings_text())
    settings["config"][f"docker-registry:{section}"] = content
    registry.restore(yaml.safe_dump(settings, sort_keys=False))


@contextmanager
def _upstreams(registry: Any, count: int) -> Iterator[list[str]]:
    """Answer on as many ports, where containers of the cluster reach them."""
    show = ["ip", "-json", "-4", "address", "show", "dev", registry.cluster.instance.label]
    shown = yaml.safe_load(subprocess.run(show, capture_output=True, text=True, check=True).stdout)
    host = shown[0]["addr_info"][0]["local"]
    servers = [ThreadingHTTPServer((host, 0), _Upstream) for _ in range(count)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield [f"http://{host}:{server.server_port}" for server in servers]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
