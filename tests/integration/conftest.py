"""One cluster for all integration tests: its own folder, ports and Docker engine, gone afterwards."""

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployment import Deployment
from throwaway import remove_abandoned, throwaway_cluster

from devcluster.cluster import Cluster
from devcluster.plugins.install import install
from devcluster.stack import Stack


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
