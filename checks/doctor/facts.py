"""What several checks ask of the servers: each question is asked once, whoever comes first."""

import shlex
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import wraps
from threading import Lock
from typing import Any, TypeVar

from checks.certificate import Certificate, shown_certificate
from checks.dead_jobs import DeadJob, dead_jobs
from checks.docker_engine import engine_info
from checks.errors import CheckError
from checks.servers import Servers
from checks.status import Answer, find_allocations, find_instances, find_job, instances_wanted, worst_answer
from checks.why import Why, of_registry
from config.settings import Settings

T = TypeVar("T")


def once(method: "Callable[[Facts], T]") -> "Callable[[Facts], T]":
    """Let a question be asked once, and its answer or its error be had by all."""

    @wraps(method)
    def asked(self: "Facts") -> T:
        return self.recall(method.__name__, lambda: method(self))

    return asked


@dataclass(kw_only=True)
class Facts:
    """A stack, its servers, and what was asked of them so far."""

    settings: Settings
    servers: Servers
    env: Mapping[str, str]
    traefik_api: str | None = None  # URL, as http://192.168.1.5:8080
    write: bool = False  # whether an image may be pushed
    write_up_to: int = 0  # and layers of up to so many bytes
    clock: Callable[[], float] = time.time
    _answers: dict[str, Future[Any]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def anew(self) -> "Facts":
        """The same, with every question to be asked again."""
        return replace(self, _answers={}, _lock=Lock())

    def recall(self, question: str, ask: Callable[[], T]) -> T:
        """Give the answer, or raise the error, of a question that is asked once."""
        with self._lock:
            known = self._answers.get(question)
            if known is None:
                future = self._answers[question] = Future[Any]()
        if known is None:
            try:
                future.set_result(ask())
            except BaseException as error:  # raised to each who asks
                future.set_exception(error)
            known = future
        answer: T = known.result()
        return answer

    @property
    def up(self) -> str:
        """The command that deploys."""
        return f"pulumi up --stack {self.settings.stack}"

    @property
    def why(self) -> str:
        """The command that tells Nomad's reasons."""
        return self.ops("why")

    def ops(self, command: str) -> str:
        """One of our own commands, for this stack."""
        return f"python -m ops {command} --stack {self.settings.stack}"

    def set(self, key: str, value: object) -> str:
        """The command that changes a setting of this stack's file; `up` deploys it."""
        path = shlex.quote(f"docker-registry:{key}")
        return f"pulumi config set --path {path} {value} --stack {self.settings.stack}"

    def remove(self, key: str) -> str:
        """The command that takes a setting out of this stack's file."""
        path = shlex.quote(f"docker-registry:{key}")
        return f"pulumi config rm --path {path} --stack {self.settings.stack}"

    def nomad(self, command: str, rest: str) -> str:
        """A command of Nomad's own, for this stack's server and namespace."""
        address, namespace = self.servers.nomad.address, self.settings.registry.namespace
        return f"nomad {command} -address={address} -namespace={namespace} {rest}"

    def vault(self, command: str, rest: str) -> str:
        """A command of Vault's own, or of OpenBao's where only that is installed."""
        path = self.env.get("PATH")
        program = (
            "bao" if shutil.which("bao", path=path) and not shutil.which("vault", path=path) else "vault"
        )
        return f"{program} {command} -address={self.servers.vault.address} {rest}"

    @once
    def job(self) -> Mapping[str, Any] | None:
        """The registry's job as Nomad has it."""
        return find_job(self.servers.nomad, self.settings)

    @once
    def allocation(self) -> Mapping[str, Any] | None:
        """The allocation that runs, else the newest; of several the worst."""
        job = self.job()
        found = find_allocations(self.servers.nomad, self.settings, instances_wanted(job)) if job else []
        return found[0] if found else None

    @once
    def reasons(self) -> Why:
        """Nomad's reasons if the registry does not run as it should."""
        return of_registry(self.servers, self.settings)

    @once
    def dead_jobs(self) -> list[DeadJob]:
        """Jobs of the stack that only a deploy starts again."""
        return dead_jobs(self.servers.nomad, self.settings)

    @once
    def instances(self) -> list[Mapping[str, Any]]:
        """The registry's instances in Consul with their checks."""
        return find_instances(self.servers.consul, self.settings.registry.service)

    @once
    def answer(self) -> Answer | None:
        """What the registry says on its own port; None if Consul does not know where that is."""
        found = self.instances()
        return worst_answer(found, self.settings, self.servers.vault) if found else None

    @once
    def engine(self) -> Mapping[str, Any]:
        """What Docker's engine on this machine says of itself."""
        return engine_info(self.env)

    @once
    def certificate(self) -> Certificate:
        """The certificate at the address that people use."""
        hostname = self.settings.registry.hostname
        return shown_certificate(hostname, self.client_port, hostname)

    @once
    def addresses(self) -> tuple[str, ...]:
        """What the registry's name resolves to here; none if it does not."""
        try:
            found = socket.getaddrinfo(self.settings.registry.hostname, None, type=socket.SOCK_STREAM)
        except OSError:
            return ()
        return tuple(dict.fromkeys(str(each[4][0]) for each in found))

    def home_addresses(self) -> list[str]:
        """The machines whose Nomad clients may run the registry: with its volume, if it has one."""
        nodes = self.servers.nomad.get("/v1/nodes")
        return [
            node["Address"]
            for node in nodes
            if node["Status"] == "ready"
            and self.settings.mounted_volume in (None, *(node["HostVolumes"] or {}))
        ]

    def service_address(self) -> str | None:
        """The machine on which Consul has the registry, if it has it."""
        try:
            found = self.instances()
        except CheckError:
            return None
        return next(map(host_of, found), None)

    @property
    def client_port(self) -> int:
        """The port that clients use with the name alone."""
        tls = self.settings.tls
        return self.settings.registry.port if tls.mode == "plain" else tls.port

    @property
    def runs(self) -> bool:
        """Whether the registry's allocation runs."""
        allocation = self.allocation()
        return bool(allocation and allocation["ClientStatus"] == "running")


def host_of(instance: Mapping[str, Any]) -> str:
    """Say on which machine Consul has an instance of a service."""
    host: str = instance["Service"]["Address"] or instance["Node"]["Address"]
    return host
