"""A cluster that runs, as tests talk to it."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from waiting import until

from devcluster.cluster import Cluster
from devcluster.stack import Stack


@dataclass(frozen=True, kw_only=True)
class RunningCluster:
    """The tests' own cluster, beside whatever `make up` runs."""

    cluster: Cluster
    env: dict[str, str]  # a whole process environment for pulumi, nomad, docker, …

    @classmethod
    def start(cls, cluster):
        cluster.up()
        stack = Stack(cluster=cluster, project=cluster.instance.root)
        stack.prepare()
        env = stack.environment()
        cluster.install_plugins(env)
        env["PULUMI_CONFIG_PASSPHRASE"] = Path(env.pop("PULUMI_CONFIG_PASSPHRASE_FILE")).read_text()
        # docker keeps its log-ins in a folder of the tests' own.
        env["DOCKER_CONFIG"] = str(cluster.instance.root / "docker-config")
        return cls(cluster=cluster, env=env)

    @property
    def instance(self):
        return self.cluster.instance

    @property
    def root(self):
        return self.instance.root

    @property
    def documents_path(self):
        """A PATH on which OpenBao's program is found by the name of Vault's too."""
        folder = self.root / "documents"
        if not folder.exists():
            folder.mkdir()
            (folder / "vault").symlink_to(self.instance.bin / "bao")
        return os.pathsep.join([str(folder), self.env["PATH"]])

    def kill(self, *names):
        """End servers as when the power goes, wait until they are gone: `up` keeps one that runs still."""
        servers = [each for each in self.cluster.status() if each.name in names]
        for each in servers:
            os.kill(each.pid, signal.SIGKILL)
        until(lambda: not any(each.pid for each in self.cluster.status() if each.name in names))

    def task_logs(self):
        """What all tasks wrote, by file; Nomad removes the folders of old allocations at any time."""
        found = {}
        for folder, _, names in os.walk(self.root / "nomad" / "data" / "alloc"):
            for file in (Path(folder, name) for name in names if folder.endswith("/alloc/logs")):
                with suppress(FileNotFoundError):
                    if file.is_file():  # or a pipe
                        found[str(file)] = file.read_text(errors="replace")
        return found

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
