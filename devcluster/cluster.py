"""The cluster as a whole: everything made, started, looked at, stopped and removed, in the right order."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from checks.no_proxy import no_proxy
from devcluster import bridge, consul, engine, hosts, images, nomad, openbao, traefik
from devcluster.engine import Engine
from devcluster.errors import ClusterError
from devcluster.instance import NEAR, Instance
from devcluster.plugins import standing_by
from devcluster.plugins.install import install
from devcluster.programs import find_or_build_all, link_all
from devcluster.progress import say, step
from devcluster.servers import (
    Server,
    check_ports,
    kill_left_over,
    log_of,
    running_pid,
    start,
    stop,
    wait,
)


@dataclass(frozen=True, kw_only=True)
class Status:
    """How one server is."""

    name: str
    state: str  # healthy, not healthy or stopped
    pid: int | None
    address: str
    log: Path


class Cluster:
    """One instance's servers and everything that they need."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def up(self) -> list[str]:
        """Make what is missing and start what does not run; return the names of the servers started.

        Raises ClusterError naming the thing that failed and its log.
        """
        with self._alone():
            return self._up()

    def _up(self) -> list[str]:
        instance = self.instance
        chosen = engine.choose(instance)
        for server in self._servers(chosen):
            if running_pid(server, instance) is None:
                check_ports(server.ports)
        link_all(instance.bin, _programs())
        if chosen.server:
            engine.prepare(instance)
        engine.require_client()
        consul.prepare(instance)
        openbao.prepare(instance)
        traefik.prepare(instance)
        nomad.prepare(instance)
        started = self._start([server for server in self._servers(chosen) if server.name != nomad.NAME])
        if not engine.containers(chosen.host, instance):  # else they hold the registry's ports
            check_ports(nomad.registry_ports(instance))
        consul.initialise(instance)
        openbao.initialise(instance)
        images.ensure(chosen.host)
        last = nomad.server(instance, chosen.host, openbao.nomad_token(instance))
        started += self._start([last])
        if nomad.initialise(instance):
            wait(last, instance)  # now that it may be asked
        todo = hosts.add(instance)
        if todo:
            say(todo)
        return started

    def install_plugins(self, pulumi_env: Mapping[str, str]) -> str:
        """Install Pulumi's provider plugins, with what serves our own; one line for the user."""
        with self._alone():
            line = install(pulumi_env, self.instance.root / "pulumi" / "plugins")
            self._start(standing_by.servers(self.instance))
        return line

    def down(self) -> list[str]:
        """Stop every server and container of the instance, keeping the data; return what was stopped."""
        if not self.instance.root.exists():
            return []
        with self._alone():
            return self._down()

    def _down(self) -> list[str]:
        chosen = engine.choose(self.instance)
        # Nomad first, so that it does not restart what is stopped after it; the engine last.
        *others, last = reversed([*self._servers(chosen)])
        stopped = [server.name for server in others if stop(server, self.instance)]
        if engine.answers(chosen.host):
            engine.stop_containers(chosen.host, self.instance)
        if stop(last, self.instance):
            stopped.append(last.name)
        kill_left_over(self.instance)
        if chosen.server:
            bridge.remove(self.instance)
        return stopped

    def _servers(self, chosen: Engine) -> list[Server]:
        """Every server of the instance, in the order in which they are started."""
        instance = self.instance
        own = [chosen.server] if chosen.server else []
        return [
            *own,
            *standing_by.servers(instance),
            consul.server(instance),
            openbao.server(instance),
            traefik.server(instance),
            nomad.server(instance, chosen.host, openbao.stored_nomad_token(instance)),
        ]

    def _start(self, servers: list[Server]) -> list[str]:
        """Start those that do not run, all at once, and wait for all."""
        new = [server.name for server in servers if running_pid(server, self.instance) is None]
        with step(f"starting {', '.join(new)}") if new else contextlib.nullcontext():
            started = [server.name for server in servers if start(server, self.instance)]
            for server in servers:
                wait(server, self.instance)
        return started

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one command at a time work on the instance."""
        self.instance.root.mkdir(parents=True, exist_ok=True)
        with (self.instance.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another command works on {self.instance.root}: waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def clean(self) -> None:
        """Stop everything and remove all that the instance put on this machine, its data included."""
        instance = self.instance
        self.down()
        hosts.remove(instance)
        for folder in (engine.runtime_folder(instance), instance.root):
            unmount_below(folder)
            if folder.exists():
                shutil.rmtree(folder)

    def status(self) -> list[Status]:
        """What runs where."""
        rows = []
        for server in self._servers(engine.choose(self.instance)):
            pid = running_pid(server, self.instance)
            state = "stopped" if pid is None else "healthy" if server.healthy() else "not healthy"
            log = log_of(server, self.instance)
            rows.append(Status(name=server.name, state=state, pid=pid, address=server.address, log=log))
        return rows

    @property
    def docker_host(self) -> str:
        """DOCKER_HOST of the engine that the instance uses."""
        return engine.choose(self.instance).host

    def environment(self) -> dict[str, str]:
        """What a shell needs so that `pulumi`, `nomad`, `docker` and `python -m ops` work on this cluster."""
        instance = self.instance
        folders = [str(Path(sys.executable).parent), str(instance.bin)]
        path = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry not in folders]
        tokens = {
            "NOMAD_TOKEN": nomad.token(instance),
            "CONSUL_HTTP_TOKEN": consul.token(instance, consul.MANAGEMENT),
        }
        return {
            "PATH": os.pathsep.join(folders + path),
            "PULUMI_HOME": str(instance.pulumi_home),
            "PULUMI_BACKEND_URL": f"file://{instance.root / 'pulumi' / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(instance.root / "pulumi" / "passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NOMAD_ADDR": instance.nomad_address,
            "CONSUL_HTTP_ADDR": instance.consul_address,
            "VAULT_ADDR": instance.vault_address,
            "VAULT_TOKEN": instance.root_token_file.read_text(),
            "DOCKER_HOST": self.docker_host,
            "TRAEFIK_API": instance.traefik_address,
            **{name: token for name, token in tokens.items() if token},
            **no_proxy(os.environ, *NEAR),
        }


def unmount_below(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Unmount what Nomad and dockerd mounted below a folder: a server that was killed leaves it."""
    paths = [Path(line.split()[1].replace("\\040", " ")) for line in mounts.read_text().splitlines()]
    for path in reversed(paths):
        if path.is_relative_to(folder):
            subprocess.run(["umount", "--lazy", path], check=True)


def _programs() -> dict[str, Path]:
    """Path of every program that the cluster runs: built ones, and those that come as wheels."""
    places = {name: Path(sys.executable).with_name(name) for name in ("bao", "traefik")}
    for name, place in places.items():
        if not place.exists():
            raise ClusterError(
                f"{name} is not beside {sys.executable}: `pip install -r requirements-dev.txt`"
            )
    return places | find_or_build_all()
