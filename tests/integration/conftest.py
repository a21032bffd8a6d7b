"""One cluster for all integration tests: its own folder, ports and Docker engine, gone afterwards."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployment import Deployment

from devcluster.cluster import Cluster
from devcluster.instance import Instance, Ports
from devcluster.plugins.install import install
from devcluster.servers import is_free
from devcluster.stack import Stack

PREFIX = "dr-test-"


@dataclass(frozen=True, kw_only=True)
class RunningCluster:
    """The tests' own cluster, beside whatever `make up` runs."""

    cluster: Cluster
    env: dict[str, str]  # a whole process environment for pulumi, nomad, docker, …

    @property
    def instance(self):
        return self.cluster.instance

    @property
    def root(self):
        return self.instance.root

    @property
    def nomad_address(self):
        return self.instance.nomad_address

    @property
    def consul_address(self):
        return self.instance.consul_address

    @property
    def vault_address(self):
        return self.instance.vault_address

    @property
    def vault_token(self):
        return self.env["VAULT_TOKEN"]

    @property
    def docker_host(self):
        return self.env["DOCKER_HOST"]

    @property
    def registry_port(self):
        return self.instance.ports.registry

    @property
    def metrics_port(self):
        return self.instance.ports.registry_debug

    @property
    def traefik_port(self):
        return self.instance.ports.traefik_tls

    @property
    def ca_file(self):
        return self.instance.ca_certificate


@pytest.fixture(scope="session")
def cluster():
    """Real servers on ports of their own; stopped and removed at the end, also after a failure."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is told to stop cleans up too
    remove_abandoned()
    with throwaway_cluster() as started:
        started.up()
        stack = Stack(cluster=started, project=started.instance.root)
        stack.prepare()
        env = stack.environment()
        install(env, started.instance.root / "pulumi" / "plugins")
        env["PULUMI_CONFIG_PASSPHRASE"] = Path(env.pop("PULUMI_CONFIG_PASSPHRASE_FILE")).read_text()
        # docker keeps its log-ins in a folder of the tests' own.
        env["DOCKER_CONFIG"] = str(started.instance.root / "docker-config")
        yield RunningCluster(cluster=started, env=env)


@pytest.fixture(scope="session")
def deployment(cluster):
    """The program deployed to the tests' cluster, in a copy of the project of its own."""
    made = Deployment.make(cluster)
    made.up()
    yield made
    made.destroy()


@contextmanager
def throwaway_cluster() -> Iterator[Cluster]:
    """A cluster that is not started yet, and of which nothing is left in the end."""
    # Short: a unix socket's path has at most 107 characters.
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    (root / "owner").write_text(str(os.getpid()))
    made = Cluster(Instance(root=root, ports=free_ports(), own_engine=True, raw_exec=True))
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
