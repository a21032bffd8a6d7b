"""How the registry is: its job, allocation and service, and what it answers itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from checks.errors import AnswerError
from checks.servers import Server, Servers
from checks.volume import offers
from config.settings import Settings

# Every response carries it while the registry is frozen; a registry that takes pushes may leave it out.
_MODE_HEADER, _READ_WRITE = "X-Registry-Mode", "read-write"


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """One placement of the job on a node."""

    id: str
    node: str
    version: int
    state: str  # Nomad's client status: pending, running, complete, failed, lost
    restarts: int


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Nomad's last attempt to bring a version of the job into service."""

    version: int
    state: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the registry says on `/`."""

    url: str
    code: int | None  # None: no answer
    mode: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """Everything that `ops status` shows; None where there is no such thing."""

    healthy: bool
    job: str
    job_state: str | None
    job_version: int | None
    deployment: Deployment | None
    allocation: Allocation | None
    service: str
    service_state: str | None  # Consul's word: passing, warning, critical
    answer: Answer | None
    volume: str
    volume_path: str | None
    volume_node: str | None


def status(servers: Servers, settings: Settings) -> Status:
    """Ask Nomad, Consul and the registry. Raises CheckError when a server cannot be asked."""
    job = find_job(servers.nomad, settings)
    deployment = _deployment(servers.nomad, settings) if job else None
    allocation = _allocation(servers.nomad, settings) if job else None
    instance = _instance(servers.consul, settings.registry.service)
    service_state = _service_state(instance) if instance else None
    answer = _ask(instance) if instance else None
    # A volume may be offered by several clients; the one that runs the job matters.
    offered = offers(servers.nomad, settings.volume)
    offer = next((each for each in offered if allocation and each.node == allocation.node), None)
    return Status(
        healthy=bool(
            job
            and job["Status"] == "running"
            and allocation
            and allocation.state == "running"
            and service_state == "passing"
            and answer
            and answer.code == 200
        ),
        job=settings.registry.name,
        job_state=job["Status"] if job else None,
        job_version=job["Version"] if job else None,
        deployment=deployment,
        allocation=allocation,
        service=settings.registry.service,
        service_state=service_state,
        answer=answer,
        volume=settings.volume,
        volume_path=str(offer.path) if offer else None,
        volume_node=offer.node if offer else None,
    )


def find_job(nomad: Server, settings: Settings) -> Mapping[str, Any] | None:
    """Get the job as Nomad has it, or None."""
    try:
        job: Mapping[str, Any] = nomad.get(
            f"/v1/job/{settings.registry.name}", namespace=settings.registry.namespace
        )
    except AnswerError as error:
        if error.status == 404:
            return None
        raise
    return job


def _deployment(nomad: Server, settings: Settings) -> Deployment | None:
    latest = nomad.get(f"/v1/job/{settings.registry.name}/deployment", namespace=settings.registry.namespace)
    if latest is None:
        return None
    return Deployment(
        version=latest["JobVersion"], state=latest["Status"], description=latest["StatusDescription"]
    )


def _allocation(nomad: Server, settings: Settings) -> Allocation | None:
    """Find the allocation that runs, else the newest."""
    found = nomad.get(f"/v1/job/{settings.registry.name}/allocations", namespace=settings.registry.namespace)
    if not found:
        return None
    newest = max(found, key=lambda each: (each["ClientStatus"] == "running", each["CreateTime"]))
    tasks = (newest["TaskStates"] or {}).values()
    return Allocation(
        id=newest["ID"],
        node=newest["NodeName"],
        version=newest["JobVersion"],
        state=newest["ClientStatus"],
        restarts=sum(task["Restarts"] for task in tasks),
    )


def _instance(consul: Server, service: str) -> Mapping[str, Any] | None:
    instances: list[Mapping[str, Any]] = consul.get(f"/v1/health/service/{service}")
    return instances[0] if instances else None


def _service_state(instance: Mapping[str, Any]) -> str:
    states = {check["Status"] for check in instance["Checks"]}
    return next((state for state in ("critical", "warning") if state in states), "passing")


def _ask(instance: Mapping[str, Any]) -> Answer:
    host = instance["Service"]["Address"] or instance["Node"]["Address"]
    host = f"[{host}]" if ":" in host else host
    url = f"http://{host}:{instance['Service']['Port']}/"
    try:
        response = httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError as error:
        return Answer(url=url, code=None, mode=None, error=str(error) or type(error).__name__)
    mode = response.headers.get(_MODE_HEADER, _READ_WRITE)
    return Answer(url=url, code=response.status_code, mode=mode, error=None)
