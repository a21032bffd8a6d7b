"""How the registry is: its job, allocation and service, and what it answers itself."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from checks.authority import authority_certificate
from checks.dead_jobs import DeadJob, dead_jobs
from checks.errors import AnswerError
from checks.freeze import Hold, held
from checks.servers import Server, Servers
from checks.volume import offers
from config.settings import Settings
from jobs.tasks.freeze_record import MODE_HEADER


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
    """What the registry says on `/`, and in which mode it is."""

    url: str
    code: int | None  # None: no answer
    mode: str | None
    error: str | None
    open: bool = False  # whether its API asks nobody who they are


@dataclass(frozen=True, kw_only=True)
class Status:
    """Everything that `ops status` shows; None where there is no such thing."""

    healthy: bool
    instances: int  # that run
    instances_wanted: int
    job: str
    job_state: str | None
    job_version: int | None
    deployment: Deployment | None
    allocation: Allocation | None  # of one that does not run, if there is such a one
    service: str
    service_state: str | None  # Consul's word: passing, warning, critical
    answer: Answer | None
    freeze: Hold | None
    bucket: str | None  # where the images are, if they are on no volume
    volume: str | None
    volume_path: str | None
    volume_node: str | None
    dead: list[DeadJob]  # of all the stack's jobs


def status(servers: Servers, settings: Settings) -> Status:
    """Ask Nomad, Consul and the registry. Raises CheckError when a server cannot be asked."""
    job = find_job(servers.nomad, settings)
    deployment = last_deployment(servers.nomad, settings) if job else None
    wanted = instances_wanted(job) if job else 0
    allocations = find_allocations(servers.nomad, settings, wanted) if job else []
    allocation = _allocation(allocations[0]) if allocations else None
    running = sum(each["ClientStatus"] == "running" for each in allocations)
    state, answer = _service(servers, settings)
    # A volume may be offered by several clients; the one that runs the job matters.
    offered = offers(servers.nomad, settings.volume) if settings.on_volume else []
    offer = next((each for each in offered if allocation and each.node == allocation.node), None)
    return Status(
        healthy=bool(
            job
            and job["Status"] == "running"
            and running == wanted
            and state == "passing"
            and answer
            and answer.code == 200
        ),
        instances=running,
        instances_wanted=wanted,
        job=settings.registry.name,
        job_state=job["Status"] if job else None,
        job_version=job["Version"] if job else None,
        deployment=deployment,
        allocation=allocation,
        service=settings.registry.service,
        service_state=state,
        answer=answer,
        freeze=_freeze(servers.nomad, settings),
        bucket=_bucket(settings),
        volume=settings.mounted_volume,
        volume_path=str(offer.path) if offer else None,
        volume_node=offer.node if offer else None,
        dead=dead_jobs(servers.nomad, settings),
    )


def _freeze(nomad: Server, settings: Settings) -> Hold | None:
    """Ask who holds the registry; None too if the token may not read that: the answer's mode tells it."""
    try:
        return held(nomad, settings)
    except AnswerError as error:
        if error.status == 403:
            return None
        raise


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


def last_deployment(nomad: Server, settings: Settings) -> Deployment | None:
    """Get Nomad's last attempt to bring a version into service, or None."""
    latest = nomad.get(f"/v1/job/{settings.registry.name}/deployment", namespace=settings.registry.namespace)
    if latest is None:
        return None
    return Deployment(
        version=latest["JobVersion"], state=latest["Status"], description=latest["StatusDescription"]
    )


def instances_wanted(job: Mapping[str, Any]) -> int:
    """How many instances Nomad is to run: with an autoscaler that is not what the settings say."""
    return sum(group["Count"] for group in job["TaskGroups"])


def find_allocations(nomad: Server, settings: Settings, wanted: int) -> list[Mapping[str, Any]]:
    """Find the allocations that run, else the newest, as many as there are to be; the worst one first."""
    found: list[Mapping[str, Any]] = nomad.get(
        f"/v1/job/{settings.registry.name}/allocations", namespace=settings.registry.namespace
    )
    found.sort(key=lambda each: (each["ClientStatus"] == "running", each["CreateTime"]), reverse=True)
    return found[: max(wanted, 1)][::-1]


def _allocation(found: Mapping[str, Any]) -> Allocation:
    return Allocation(
        id=found["ID"],
        node=found["NodeName"],
        version=found["JobVersion"],
        state=found["ClientStatus"],
        restarts=sum(task["Restarts"] for task in (found["TaskStates"] or {}).values()),
    )


def _service(servers: Servers, settings: Settings) -> tuple[str | None, Answer | None]:
    """Ask Consul and each instance, and give the worst that they say."""
    instances = find_instances(servers.consul, settings.registry.service)
    if not instances:
        return None, None
    return service_state(instances), worst_answer(instances, settings, servers.vault)


def find_instances(consul: Server, service: str) -> list[Mapping[str, Any]]:
    """Find a service's instances in Consul's catalogue, with their checks."""
    found: list[Mapping[str, Any]] = consul.get(f"/v1/health/service/{service}")
    return found


def service_state(instances: Sequence[Mapping[str, Any]]) -> str:
    """Give the worst word of a service's checks."""
    states = {check["Status"] for instance in instances for check in instance["Checks"]}
    return next((state for state in ("critical", "warning") if state in states), "passing")


def worst_answer(instances: Sequence[Mapping[str, Any]], settings: Settings, vault: Server) -> Answer:
    """Ask each instance on its own port. Raises CheckError if the registry's authority cannot be had."""
    answers = [_ask(each, settings, vault) for each in instances]
    return next((each for each in answers if each.code != 200), answers[0])


def _bucket(settings: Settings) -> str | None:
    s3 = settings.storage.s3
    if s3 is None:
        return None
    return "/".join(filter(None, (s3.endpoint or f"s3 in {s3.region}", s3.bucket, s3.prefix)))


def _ask(instance: Mapping[str, Any], settings: Settings, vault: Server) -> Answer:
    host = instance["Service"]["Address"] or instance["Node"]["Address"]
    host = f"[{host}]" if ":" in host else host
    tls = settings.tls.mode == "registry"
    url = f"{'https' if tls else 'http'}://{host}:{instance['Service']['Port']}/"
    try:
        with httpx.Client(
            trust_env=False, verify=authority_trust(settings, vault) if tls else False
        ) as client:
            # The certificate is for the name, whatever the address.
            options: dict[str, Any] = {
                "timeout": 10,
                "extensions": {"sni_hostname": settings.registry.hostname},
            }
            code = client.get(url, **options).status_code
            # Every answer of the API carries it, 401 too; `/` is answered without the API.
            api = client.get(f"{url}v2/", **options)
    except httpx.TransportError as error:
        return Answer(url=url, code=None, mode=None, error=str(error) or type(error).__name__)
    mode = api.headers.get(MODE_HEADER)
    return Answer(url=url, code=code, mode=mode, error=None, open=api.status_code == 200)


def authority_trust(settings: Settings, vault: Server) -> ssl.SSLContext:
    """Trust the registry's authority alone, be it a root or an intermediate."""
    context = ssl.create_default_context(cadata=authority_certificate(vault, settings.pki_mount))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
