"""Push and pull through the deployed registry, beside the bare registry program on the same disk."""

import hashlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import yaml
from rich.table import Table

from bench.cluster import deployed
from devcluster.programs import REGISTRY, find_or_build
from devcluster.stack import DEMO_USER
from ops.users import BCRYPT_COST

_BLOCK = 1 << 20  # bytes
SIZE, RUNS = 200 * _BLOCK, 5  # bytes; pushes and pulls of each
CLIENTS, PULLS, PULLED = 50, 100, 5 * _BLOCK  # side by side, in all, and bytes of each
_PROGRAM = "program"  # what all are compared with


@dataclass(frozen=True)
class Target:
    """A way to a registry."""

    name: str
    client: httpx.Client


def bench() -> Table:
    """Push and pull in turns, so that what else the machine does meets all alike."""
    table = Table(
        *("way", "push", "ratio", "pull", "ratio", f"{CLIENTS} clients", "ratio"),
        title=f"Transfer: a layer of {SIZE // _BLOCK} MiB, and {PULLS} pulls by {CLIENTS} clients",
        caption=f"MB/s, median of {RUNS} runs in turns; ratios are to the program with the same users",
    )
    with deployed() as registry, ExitStack() as running:
        root = registry.cluster.root
        ways = [
            Target("program, no users", running.enter_context(_bare(registry, root / "bare", user=False))),
            Target(_PROGRAM, running.enter_context(_bare(registry, root / "bare-users", user=True))),
            Target("docker run", running.enter_context(_docker_run(registry, root / "bare-container"))),
            Target("its container", _client(registry, f"http://{_container(registry)}")),
            Target("its port", _client(registry, f"http://{registry.address}")),
            Target("Traefik, TLS", _client(registry, f"https://{registry.tls_address}")),
        ]
        pushes, pulls = ({way.name: list[float]() for way in ways} for _ in range(2))
        for _ in range(RUNS):
            for way in ways:
                os.sync()  # the disk is not to be busy with what the one before pushed
                seconds, digest = _push(way.client, SIZE // _BLOCK)
                pushes[way.name].append(seconds)
                pulls[way.name].append(_pull(way.client, digest))
        crowds = {way.name: [_crowd(way.client)] for way in ways}
    for way in ways:
        cells = []
        for found, amount in ((pushes, SIZE), (pulls, SIZE), (crowds, PULLS * PULLED)):
            seconds, other = (statistics.median(found[name]) for name in (way.name, _PROGRAM))
            cells += [f"{amount / seconds / 1e6:.0f}", f"{other / seconds:.2f}"]
        table.add_row(way.name, *cells)
    return table


def _client(registry: Any, url: str, *, user: bool = True) -> httpx.Client:
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    auth = (DEMO_USER, registry.password) if user else None
    return httpx.Client(base_url=url, timeout=120, limits=limits, auth=auth, verify=registry.trust())


def _container(registry: Any) -> str:
    """Where the registry's container listens itself: what the kernel forwards to, without docker-proxy."""
    [container] = registry.docker("ps", "--quiet", "--filter", "name=^registry-").split()
    [shown] = json.loads(registry.docker("inspect", container))
    [network] = shown["NetworkSettings"]["Networks"].values()
    port = next(
        port.partition("/")[0]
        for port, bound in shown["NetworkSettings"]["Ports"].items()
        if bound and bound[0]["HostPort"] == str(registry.ports.registry)
    )
    return f"{network['IPAddress']}:{port}"


def _push(client: httpx.Client, blocks: int) -> tuple[float, str]:
    """Push a layer as docker does, by PATCH and PUT; seconds and digest. Hashing it does not count."""
    block, hashed = os.urandom(_BLOCK), hashlib.sha256()
    for _ in range(blocks):
        hashed.update(block)
    digest = f"sha256:{hashed.hexdigest()}"
    started = time.perf_counter()
    upload = client.post("/v2/bench/app/blobs/uploads/").raise_for_status().headers["Location"]
    # Block by block: of one long text httpx copies the rest each time that the socket has taken a part.
    answer = client.patch(
        upload, content=(block for _ in range(blocks)), headers={"Content-Length": str(blocks * _BLOCK)}
    )
    upload = answer.raise_for_status().headers["Location"]
    client.put(f"{upload}&digest={digest}").raise_for_status()
    return time.perf_counter() - started, digest


def _pull(client: httpx.Client, digest: str) -> float:
    """Pull a layer, without looking at it; seconds."""
    started = time.perf_counter()
    with client.stream("GET", f"/v2/bench/app/blobs/{digest}") as answer:
        answer.raise_for_status()
        for _ in answer.iter_raw(_BLOCK):
            pass
    return time.perf_counter() - started


def _crowd(client: httpx.Client) -> float:
    """Pull one layer by many clients; seconds."""
    _, digest = _push(client, PULLED // _BLOCK)
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: _pull(client, digest), range(PULLS)))
    return time.perf_counter() - started


@contextmanager
def _bare(registry: Any, folder: Path, *, user: bool) -> Iterator[httpx.Client]:
    """Run the registry's program itself, with what it needs and no more."""
    port = registry.ports.registry + (11 if user else 10)
    _configure(registry, folder, folder, f"127.0.0.1:{port}", user=user)
    command = [str(find_or_build(REGISTRY)), "serve", str(folder / "config.yml")]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield _served(_client(registry, f"http://127.0.0.1:{port}", user=user))
        finally:
            process.terminate()


@contextmanager
def _docker_run(registry: Any, folder: Path) -> Iterator[httpx.Client]:
    """Run the same program by `docker run`, without limits."""
    port = registry.ports.registry + 12
    _configure(registry, folder, Path("/data"), ":5000", user=True)
    container = registry.docker(
        *("run", "--detach", "--volume", f"{folder}:/data", "--publish", f"127.0.0.1:{port}:5000"),
        *("--env", "OTEL_TRACES_EXPORTER=none", "registry:3", "serve", "/data/config.yml"),
    ).strip()
    try:
        yield _served(_client(registry, f"http://127.0.0.1:{port}"))
    finally:
        registry.docker("rm", "--force", container)


def _configure(registry: Any, folder: Path, seen: Path, address: str, *, user: bool) -> None:
    """Write a configuration into a new folder, which the program sees at another path."""
    folder.mkdir()
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}, "level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": str(seen / "store")},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {"addr": address, "relativeurls": True},
    }
    if user:
        hashed = bcrypt.hashpw(registry.password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
        (folder / "htpasswd").write_text(f"{DEMO_USER}:{hashed}\n")
        config["auth"] = {"htpasswd": {"realm": "bench", "path": str(seen / "htpasswd")}}
    (folder / "config.yml").write_text(yaml.safe_dump(config))


def _served(client: httpx.Client) -> httpx.Client:
    """Give it once there is an answer."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.get("/").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return client
    raise RuntimeError(f"nothing serves at {client.base_url}")
