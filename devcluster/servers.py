"""A server of the cluster as data, and how it is started, found again, watched and stopped."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from checks.no_proxy import no_proxy
from devcluster.errors import ClusterError
from devcluster.files import PRIVATE, write
from devcluster.instance import LOOPBACK, NEAR, Instance

# Inherited by everything started for an instance, so that it is told from other instances' processes.
MARK = "DOCKER_REGISTRY_CLUSTER"
START_SECONDS = 120  # a busy machine starts several clusters at once
STOP_SECONDS = 30
ANSWER_SECONDS = 10
CLOSING_SECONDS = 5  # a server that was just killed still holds its ports for a moment
LOG_BYTES = 20_000_000
LOG_LINES = 20  # shown of a server that failed; what Nomad says while it shuts down takes a dozen


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server: what is run, with which files, on which ports, and how it tells that it is well."""

    name: str
    command: tuple[str, ...]
    files: Mapping[Path, str]
    healthy: Callable[[], bool]
    ports: Mapping[str, int] = field(default_factory=dict)  # what listens there → port
    address: str = ""

    @property
    def digest(self) -> str:
        """Changes with the command and its files, so that a running server is known to be out of date."""
        content = json.dumps([self.command, sorted((str(path), text) for path, text in self.files.items())])
        return hashlib.sha256(content.encode()).hexdigest()


def log_of(server: Server, instance: Instance) -> Path:
    """The server's log file."""
    return instance.logs / f"{server.name}.log"


def running_pid(server: Server, instance: Instance) -> int | None:
    """Its process id if it runs, else None. A pid that was given to another process since does not count."""
    pid = _state(server, instance).get("pid")
    return pid if isinstance(pid, int) and _is_ours(pid, instance) else None


def start(server: Server, instance: Instance) -> bool:
    """Start the server, detached from this process, unless it runs with this command and these files.

    Returns whether it was started. Does not wait for it: see `wait`.
    """
    pid = running_pid(server, instance)
    if pid is not None:
        if _state(server, instance).get("digest") == server.digest:
            return False
        stop(server, instance)
    check_ports(server.ports)
    for path, text in server.files.items():
        write(path, text, mode=PRIVATE)
    log = log_of(server, instance)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.rename(log.with_suffix(".log.1"))
    pid = os.posix_spawn(
        server.command[0],
        server.command,
        {**os.environ, **no_proxy(os.environ, *NEAR), MARK: str(instance.root)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    write(_state_file(server, instance), json.dumps({"pid": pid, "digest": server.digest}), mode=PRIVATE)
    return True


def wait(server: Server, instance: Instance) -> None:
    """Wait until the server is healthy; raise ClusterError with the end of its log if it does not get so."""
    deadline = time.monotonic() + START_SECONDS
    while not server.healthy():
        if running_pid(server, instance) is None:
            raise _failed(server, instance, "stopped while it started")
        if time.monotonic() > deadline:
            raise _failed(server, instance, f"is not healthy after {START_SECONDS} s")
        time.sleep(0.1)


def stop(server: Server, instance: Instance) -> bool:
    """Stop the server, by force if it has not gone after STOP_SECONDS. Returns whether it ran."""
    pid = running_pid(server, instance)
    if pid is None:
        _state_file(server, instance).unlink(missing_ok=True)
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while not _ended(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
    _state_file(server, instance).unlink(missing_ok=True)
    return True


def kill_left_over(instance: Instance) -> None:
    """End what the stopped servers left running: Nomad's log collectors, containers of a killed dockerd."""
    parents: dict[int, int] = {}
    ours: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            pid = int(entry.name)
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if pid != os.getpid() and _is_ours(pid, instance):
                ours.add(pid)
    # A container has its own environment: it is known by the shim above it.
    while children := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= children
    for pid in ours:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while not all(_ended(pid) for pid in ours) and time.monotonic() < deadline:
        time.sleep(0.05)


def check_ports(ports: Mapping[str, int]) -> None:
    """Raise ClusterError if one of the ports (what listens there → port) is taken."""
    for thing, port in ports.items():
        deadline = time.monotonic() + CLOSING_SECONDS
        while not (free := is_free(port)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not free:
            raise ClusterError(
                f"port {port}, needed for {thing}, is in use by {holder(port)}: stop that first"
            )


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        # As the servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on a port, as far as this user may know: `nginx (pid 71)`."""
    if shutil.which("ss"):
        result = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False
        )
        match = re.search(r'\("([^"]+)",pid=(\d+)', result.stdout)
        if match:
            return f"{match[1]} (pid {match[2]})"
    return "another process"


def answers(url: str, accept: Callable[[str], bool] = bool, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET of the URL succeeds with a body that `accept` takes."""
    try:
        response = httpx.get(url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return response.status_code == 200 and accept(response.text)


def _failed(server: Server, instance: Instance, what: str) -> ClusterError:
    log = log_of(server, instance)
    last = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    return ClusterError(f"{server.name} {what}; its log is {log} and ends with:\n{last}")


def _state_file(server: Server, instance: Instance) -> Path:
    return instance.root / "run" / f"{server.name}.json"


def _state(server: Server, instance: Instance) -> dict[str, object]:
    try:
        state = json.loads(_state_file(server, instance).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _ended(pid: int) -> bool:
    """Whether a process is gone, its ports free: it loses its environment before it closes its sockets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _is_ours(pid: int, instance: Instance) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of this very process must not stay as a zombie
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={instance.root}".encode() in environment.split(b"\0")
