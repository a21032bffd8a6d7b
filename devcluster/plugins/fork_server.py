"""Starts an engine's plugins as forks of one process that has Pulumi's modules loaded.

The engine starts each plugin twice in a run, once to refresh and once for the program, and half a second of
each start went into the imports. Here the first start pays them, and a later one takes some milliseconds.
"""

import contextlib
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
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

_REPOSITORY = Path(__file__).resolve().parents[2]
_LENGTH = struct.Struct("!I")
_PEER = struct.Struct("3i")  # pid, uid and gid, as SO_PEERCRED gives them
# What the server runs: with the packages of this Python, which the launcher does without.
_SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from devcluster.plugins.fork_server import serve; serve(int(sys.argv[2]), int(sys.argv[3]))"
)


def launch(name: str) -> NoReturn:
    """Have the plugin run with this process's arguments, environment and files; end when it ends."""
    with _connected(os.getppid()) as server:
        for number in (signal.SIGINT, signal.SIGTERM):  # how the engine ends a plugin
            signal.signal(number, lambda *_: server.shutdown(socket.SHUT_WR))
        request = json.dumps(
            {
                "name": name,
                "engine": next(each for each in sys.argv[1:] if not each.startswith("-")),
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


def _connected(engine: int) -> socket.socket:
    """Connect to the engine's fork server; the first to come starts it."""
    # A container with the host's network has the host's addresses, but numbers its processes anew.
    processes = Path("/proc/self/ns/pid").stat().st_ino
    address = f"\0docker-registry-plugins-{processes}-{engine}"
    while True:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(address)
        except ConnectionRefusedError:
            server.close()
            _start(address, engine)
        else:
            _require_own(server)
            return server


def _start(address: str, engine: int) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(address)
        except OSError:  # another launcher was faster
            return
        listening.listen()
        listening.set_inheritable(True)
        command = [sys.executable, "-c", _SERVE, str(_REPOSITORY), str(listening.fileno()), str(engine)]
        # Without the engine's pipes: it waits until nobody has their other ends.
        silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        os.posix_spawn(sys.executable, command, os.environ, file_actions=silent, setsid=True)


def serve(listening: int, engine: int) -> None:
    """Fork a plugin for each launcher that connects, until the engine is gone."""
    # Not at the top: the launcher has no packages.
    plugin = importlib.import_module("devcluster.plugins.serve")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the plugins
    gone = os.pidfd_open(engine)
    with socket.socket(fileno=listening) as server:
        while gone not in select.select([server.fileno(), gone], [], [])[0]:
            launcher, _ = server.accept()
            with launcher:
                _fork(launcher, server, plugin)


def _fork(launcher: socket.socket, server: socket.socket, plugin: ModuleType) -> None:
    _require_own(launcher)
    with _received(launcher) as (request, files):
        # Here and not in the fork, so that the second start has it already.
        module = importlib.import_module(f"devcluster.plugins.{request['name']}")
        if os.fork():
            return
        for number, file in enumerate(files):
            os.dup2(file, number)
    try:
        server.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        launcher.send(b"\0")
        threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
        plugin.main(module.PROVIDER, request["engine"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


@contextlib.contextmanager
def _received(launcher: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Take what a launcher sends; its files are open until the end."""
    header, files, _, _ = socket.recv_fds(launcher, _LENGTH.size, 3)
    try:
        length, text = _LENGTH.unpack(header)[0], bytearray()
        while len(text) < length:
            text += launcher.recv(length - len(text))
        yield json.loads(text), files
    finally:
        for file in files:
            os.close(file)


def _end_with(launcher: socket.socket) -> None:
    launcher.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _require_own(peer: socket.socket) -> None:
    """Any user of the machine may take the address first, and the environment has tokens."""
    _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if user != os.getuid():
        raise PermissionError(f"the plugins' fork server runs as user {user}, not as {os.getuid()}")
