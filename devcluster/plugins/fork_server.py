"""Starts plugins as forks of one process that has Pulumi's modules loaded.

The engine starts each plugin twice in a run, once to refresh and once for the program, and half a second of
each start went into the imports. A cluster that runs has paid them (`stand_by`), and a start takes some
milliseconds; without one, the first start of a run pays for the later ones.
"""

import contextlib
import hashlib
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

_REPOSITORY = Path(__file__).resolve().parents[2]
_LENGTH = struct.Struct("!I")
_PEER = struct.Struct("3i")  # pid, uid and gid, as SO_PEERCRED gives them
# What a server runs: with the packages of this Python, which the launcher does without.
_RUN = "import sys; sys.path.insert(0, sys.argv[1]); from devcluster.plugins import fork_server; fork_server."


def launch(name: str) -> NoReturn:
    """Have the plugin run with this process's arguments, environment and files; end when it ends."""
    with _connected() as server:
        for number in (signal.SIGINT, signal.SIGTERM):  # how the engine ends a plugin
            signal.signal(number, lambda *_: server.shutdown(socket.SHUT_WR))
        request = json.dumps(
            {
                "name": name,
                "engine": next(each for each in sys.argv[1:] if not each.startswith("-")),
                "parent": os.getppid(),
                "folder": str(Path.cwd()),
                "environment": dict(os.environ),
            }
        ).encode()
        socket.send_fds(server, [_LENGTH.pack(len(request))], [0, 1, 2])
        server.sendall(request)
        if not server.recv(1):
            sys.exit(f"the local {name} plugin ended: `python -m devcluster.plugins.{name}` says why")
        server.recv(1)
    sys.exit()


def stand_by(home: str, names: Sequence[str]) -> NoReturn:
    """Be the fork server of the engines with this PULUMI_HOME, with these plugins loaded."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(_address_of_home(home))
        for name in names:
            importlib.import_module(f"devcluster.plugins.{name}")
        listening.listen()
        _serve(listening, [])
    sys.exit()


def command(home: str, names: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `stand_by`."""
    return (sys.executable, "-c", f"{_RUN}stand_by({home!r}, {[*names]!r})", str(_REPOSITORY))


def stands_by(home: str) -> bool:
    """Whether there is a fork server for this PULUMI_HOME."""
    with contextlib.suppress(ConnectionRefusedError), _connection(_address_of_home(home)):
        return True
    return False


def _address(owner: object) -> str:
    # A container with the host's network has the host's addresses, but numbers its processes anew.
    processes = Path("/proc/self/ns/pid").stat().st_ino
    return f"\0docker-registry-plugins-{processes}-{owner}"


def _address_of_home(home: str) -> str:
    return _address(hashlib.sha256(home.encode()).hexdigest()[:16])


def _connected() -> socket.socket:
    """Connect to the cluster's fork server, or to the engine's own, which the first to come starts."""
    with contextlib.suppress(KeyError, ConnectionRefusedError):
        return _connection(_address_of_home(os.environ["PULUMI_HOME"]))
    engine = os.getppid()
    address = _address(engine)
    while True:
        try:
            return _connection(address)
        except ConnectionRefusedError:
            _start(address, engine)


def _connection(address: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(address)
        _require_own(server)
    except OSError:
        server.close()
        raise
    return server


def _start(address: str, engine: int) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(address)
        except OSError:  # another launcher was faster
            return
        listening.listen()
        listening.set_inheritable(True)
        code = f"{_RUN}serve({listening.fileno()}, {engine})"
        command = [sys.executable, "-c", code, str(_REPOSITORY), str(engine)]
        # Without the engine's pipes: it waits until nobody has their other ends.
        silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        os.posix_spawn(sys.executable, command, os.environ, file_actions=silent, setsid=True)


def serve(listening: int, engine: int) -> None:
    """Be the fork server of one engine, until it is gone."""
    with socket.socket(fileno=listening) as server:
        _serve(server, [os.pidfd_open(engine)])


def _serve(server: socket.socket, gone: list[int]) -> None:
    """Fork a plugin for each launcher that connects, until one of these can be read."""
    # Not at the top: the launcher has no packages.
    plugin = importlib.import_module("devcluster.plugins.serve")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the plugins
    while not {*gone} & {*select.select([server.fileno(), *gone], [], [])[0]}:
        launcher, _ = server.accept()
        with launcher:
            _fork(launcher, server, plugin)


def _fork(launcher: socket.socket, server: socket.socket, plugin: ModuleType) -> None:
    _require_own(launcher)
    with contextlib.ExitStack() as files:
        header, numbers, _, _ = socket.recv_fds(launcher, _LENGTH.size, 3)
        for number in numbers:
            files.callback(os.close, number)
        if not header:  # it only wanted to know whether somebody is here, or was killed
            return
        length, text = _LENGTH.unpack(header)[0], bytearray()
        while len(text) < length:
            part = launcher.recv(length - len(text))
            if not part:
                return
            text += part
        request = json.loads(text)
        # Here and not in the fork, so that the second start has it already.
        module = importlib.import_module(f"devcluster.plugins.{request['name']}")
        if os.fork():
            return
        for number, file in enumerate(numbers):
            os.dup2(file, number)
    try:
        server.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        engine = os.pidfd_open(request["parent"])
        launcher.send(b"\0")
        threading.Thread(target=_end_with, args=(launcher, engine), daemon=True).start()
        plugin.main(module.PROVIDER, request["engine"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def _end_with(launcher: socket.socket, engine: int) -> None:
    select.select([launcher.fileno(), engine], [], [])
    os.kill(os.getpid(), signal.SIGTERM)


def _require_own(peer: socket.socket) -> None:
    """Any user of the machine may take the address first, and the environment has tokens."""
    _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if user != os.getuid():
        raise PermissionError(f"the plugins' fork server runs as user {user}, not as {os.getuid()}")
