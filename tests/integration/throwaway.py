"""Clusters that leave nothing behind."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster.cluster import Cluster
from devcluster.instance import Instance, Ports
from devcluster.servers import is_free

PREFIX = "dr-test-"


@contextmanager
def throwaway_cluster(*, own_engine: bool = True) -> Iterator[Cluster]:
    """A cluster that is not started yet, and of which nothing is left in the end."""
    # Short: a unix socket's path has at most 107 characters.
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    (root / "owner").write_text(str(os.getpid()))
    made = Cluster(Instance(root=root, ports=free_ports(), own_engine=own_engine, raw_exec=True))
    try:
        yield made
    finally:
        made.clean()


def free_ports() -> Ports:
    """Ports that no other run uses at the moment."""
    for block in range(1, 6):
        ports = Ports.shifted(block)
        if all(is_free(port) for port in ports):
            return ports
    raise RuntimeError("the ports of every test cluster are in use: end the other test runs first")


def remove_abandoned() -> None:
    """Remove what test runs left that were killed."""
    for root in Path("/tmp").glob(f"{PREFIX}*"):
        owner = root / "owner"
        if owner.exists() and not Path("/proc", owner.read_text()).exists():
            Cluster(Instance(root=root, own_engine=True)).clean()
