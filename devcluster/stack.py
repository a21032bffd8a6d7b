"""The Pulumi side of the cluster: its `env` file, its stack file, and `pulumi up`."""

import os
import secrets
import shlex
import string
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from devcluster.cluster import Cluster
from devcluster.errors import ClusterError
from devcluster.files import PRIVATE, write
from devcluster.instance import CONTAINER_USER, HOSTNAME, LOOPBACK, Instance
from devcluster.openbao import KV_MOUNT
from devcluster.progress import say, step

REPOSITORY = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).with_name("Pulumi.dev.yaml")
STACK = "dev"
PROJECT = "docker-registry"
DEMO_USER = "demo"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The stack `dev` of a Pulumi project, deployed to a cluster."""

    cluster: Cluster
    project: Path = REPOSITORY

    @property
    def file(self) -> Path:
        """The stack's settings."""
        return self.project / f"Pulumi.{STACK}.yaml"

    @property
    def password_file(self) -> Path:
        """The demo user's password."""
        return self.cluster.instance.root / "demo-password"

    def prepare(self) -> None:
        """Make pulumi's passphrase and state folder and the `env` file, as far as they are missing."""
        folder = self.cluster.instance.root / "pulumi"
        (folder / "state").mkdir(parents=True, exist_ok=True)
        if not (folder / "passphrase").exists():
            write(folder / "passphrase", secrets.token_hex(24), mode=PRIVATE)
        write(self.cluster.instance.root / "env", env_file(self.cluster.environment()), mode=PRIVATE)

    def configure(self) -> None:
        """Write the stack's settings, unless this cluster has them: then they are the user's to change."""
        written = self.cluster.instance.root / "pulumi" / "settings-written"
        if written.exists() and self.file.exists():
            return
        with step(f"writing {self.file.name}"):
            write(self.file, settings(self.cluster.instance))
            self.pulumi("stack", "select", "--create", STACK)
            self._set_secret("vault:token", self.cluster.instance.root_token_file.read_text())
            self._set_secret(f"{PROJECT}:auth.users.{DEMO_USER}", self._demo_entry())
        written.touch()

    def _demo_entry(self) -> str:
        """The demo user's bcrypt hash; makes the password, and says it, the first time."""
        if not self.password_file.exists():
            write(self.password_file, secrets.token_urlsafe(15), mode=PRIVATE)
            say(f"user {DEMO_USER}, password {self.password_file.read_text()} (in {self.password_file})")
        return bcrypt.hashpw(self.password_file.read_bytes(), bcrypt.gensalt(10)).decode()

    def _set_secret(self, key: str, value: str) -> None:
        """By standard input: an argument would be seen in `ps`."""
        self.pulumi("config", "set", "--stack", STACK, "--secret", "--path", key, text=value)

    def deploy(self) -> None:
        """Run `pulumi up` with its output on the terminal; raise ClusterError if it fails."""
        command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", STACK]
        if subprocess.run(command, cwd=self.project, env=self.environment(), check=False).returncode != 0:
            raise ClusterError(
                "`pulumi up` failed (its own words are above). For Nomad's reason: "
                f"`. {self.cluster.instance.root / 'env'} && python -m ops why`"
            )

    def output(self, name: str) -> str:
        """One output of the stack."""
        return self.pulumi("stack", "output", name, "--stack", STACK)

    def pulumi(self, *arguments: str, text: str | None = None) -> str:
        """Run pulumi in the project; its output. Raises ClusterError with what it says."""
        result = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.project,
            env=self.environment(),
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ClusterError(f"`pulumi {' '.join(arguments)}` failed: {result.stderr.strip()}")
        return result.stdout

    def environment(self) -> dict[str, str]:
        """The whole environment of a pulumi process."""
        return {**os.environ, **self.cluster.environment()}


def env_file(environment: Mapping[str, str]) -> str:
    """A file to source in a shell."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    return (
        "# `. .cluster/env`: pulumi, nomad, bao, docker and python -m ops then use this cluster.\n"
        + "".join(lines)
    )


def settings(instance: Instance, uid: int | None = None, gid: int | None = None) -> str:
    """The stack file for an instance, from the template. Its secrets are added by pulumi."""
    user = os.getuid() if uid is None else uid
    group = os.getgid() if gid is None else gid
    return string.Template(TEMPLATE.read_text()).substitute(
        nomad_address=instance.nomad_address,
        consul_address=f"{LOOPBACK}:{instance.ports.consul_http}",
        vault_address=instance.vault_address,
        hostname=HOSTNAME,
        registry_port=instance.ports.registry,
        registry_debug_port=instance.ports.registry_debug,
        traefik_port=instance.ports.traefik_tls,
        volumes=instance.volumes,
        kv_mount=KV_MOUNT,
        uid=user or CONTAINER_USER,
        gid=group or CONTAINER_USER,
    )
