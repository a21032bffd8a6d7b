"""Clusters that leave nothing behind."""

import fcntl
import itertools
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster.cluster import Cluster
from devcluster.instance import Instance, Ports
from devcluster.servers import is_free

PREFIX = "dr-test-"


@contextmanager
def throwaway_cluster(*, own_engine: bool = True, acl: bool = False) -> Iterator[Cluster]:
    """A cluster that is not started yet, and of which nothing is left in the end."""
    # Short: a unix socket's path has at most 107 characters.
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    (root / "owner").write_text(str(os.getpid()))
    with reserved_ports() as ports:
        made = Cluster(Instance(root=root, ports=ports, own_engine=own_engine, raw_exec=True, acl=acl))
        try:
            yield made
        finally:
            made.clean()


@contextmanager
def reserved_ports() -> Iterator[Ports]:
    """Ports that no other run uses, nor takes before this one has ended; four workers may need all eight."""
    deadline = time.monotonic() + 300
    for block in itertools.cycle(range(1, 9)):
        assert time.monotonic() < deadline, "the ports of every test cluster are in use"
        time.sleep(0.05)
        ports = Ports.shifted(block)
        with socket.socket(socket.AF_UNIX) as lock:
            try:
                lock.bind(f"\0{PREFIX}ports-{block}")  # a name that is free again when the process ends
            except OSError:
                continue
            if all(is_free(port) for port in ports):
                yield ports
                return


def remove_abandoned() -> None:
    """Remove what test runs left that were killed; workers that start together do so one by one."""
    folder = os.open("/tmp", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        for owner in Path("/tmp").glob(f"{PREFIX}*/owner"):
            try:
                pid = owner.read_text()
            except FileNotFoundError:  # its run has just ended
                continue
            if not Path("/proc", pid).exists():
                Cluster(Instance(root=owner.parent, own_engine=True)).clean()
    finally:
        os.close(folder)
