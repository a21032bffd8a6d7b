"""Why the registry does not run as it should: Nomad's own reasons, which the provider leaves out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from checks.dead_jobs import DeadJob, dead_jobs
from checks.placement import placement_reasons
from checks.servers import Server, Servers
from checks.status import Deployment, find_job
from checks.task_events import masked, told
from checks.task_log import last_lines
from checks.wanted import is_deployed
from config.settings import Settings

_EVENTS = 10


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed allocation: what Nomad noted, and the end of its logs."""

    allocation: str
    node: str
    version: int
    at: str  # ISO 8601, UTC
    events: list[str]
    exit_code: int | None
    stderr: list[str]
    stdout: list[str]


@dataclass(frozen=True, kw_only=True)
class Revert:
    """The version that runs is not the one that was last submitted."""

    running: int
    submitted: int
    retry: str  # command


@dataclass(frozen=True, kw_only=True)
class Why:
    """What is wrong, from the outside in; empty where there is nothing to say."""

    healthy: bool
    summary: str
    deployment: Deployment | None
    placement: list[str]
    failures: list[Failure]
    checks: list[str]
    reverted: Revert | None
    dead: list[DeadJob]  # other jobs of the stack


def why(servers: Servers, settings: Settings) -> Why:
    """Collect the reasons. Raises CheckError when a server cannot be asked."""
    name = settings.registry.name
    dead = [each for each in dead_jobs(servers.nomad, settings) if each.job != name]
    return replace(of_registry(servers, settings), dead=dead)


def of_registry(servers: Servers, settings: Settings) -> Why:
    """Collect the reasons of the registry's own job. Raises CheckError."""
    nomad, name = servers.nomad, settings.registry.name
    job = find_job(nomad, settings)
    if job is None:
        return _nothing(f"Nomad at {nomad.address} has no job {name}: `pulumi up` deploys it")
    reverted = _revert(nomad, settings, job)
    version = reverted.submitted if reverted else job["Version"]
    deployment = _deployment_of(nomad, settings, version)
    allocations = [each for each in _of_job(nomad, settings, "allocations") if each["JobVersion"] == version]
    running = any(each["ClientStatus"] == "running" for each in allocations)
    failing = failing_checks(servers.consul, settings.registry.service, running=running)
    healthy = running and not failing and _succeeded(deployment)
    if healthy:
        return _nothing(f"job {name} version {version} runs and its checks pass", healthy=True)
    placement = [] if running else _placement(nomad, settings, deployment)
    failures = _failures(nomad, settings, allocations)
    return Why(
        healthy=False,
        summary=_summary(name, job, version, deployment),
        deployment=_as_deployment(deployment),
        placement=placement,
        failures=failures,
        checks=failing,
        reverted=reverted,
        dead=[],
    )


def _nothing(summary: str, *, healthy: bool = False) -> Why:
    return Why(
        healthy=healthy,
        summary=summary,
        deployment=None,
        placement=[],
        failures=[],
        checks=[],
        reverted=None,
        dead=[],
    )


def _summary(name: str, job: Mapping[str, Any], version: int, deployment: Mapping[str, Any] | None) -> str:
    if job["Stop"]:
        return f"job {name} was stopped: `pulumi up` starts it again"
    if deployment is None:
        return f"job {name} version {version} is {job['Status']}"
    return (
        f"job {name} version {version}: deployment {deployment['Status']}: {deployment['StatusDescription']}"
    )


def _succeeded(deployment: Mapping[str, Any] | None) -> bool:
    return deployment is None or deployment["Status"] == "successful"


def _as_deployment(deployment: Mapping[str, Any] | None) -> Deployment | None:
    if deployment is None:
        return None
    return Deployment(
        version=deployment["JobVersion"],
        state=deployment["Status"],
        description=deployment["StatusDescription"],
    )


def _of_job(nomad: Server, settings: Settings, what: str) -> list[Mapping[str, Any]]:
    registry = settings.registry
    found: list[Mapping[str, Any]] = nomad.get(
        f"/v1/job/{registry.name}/{what}", namespace=registry.namespace
    )
    return found


def _revert(nomad: Server, settings: Settings, job: Mapping[str, Any]) -> Revert | None:
    """Compare what runs with what was last submitted.

    auto_revert makes a new version out of an old one and keeps its submit time, which tells the two apart.
    """
    registry = settings.registry
    versions = nomad.get(f"/v1/job/{registry.name}/versions", namespace=registry.namespace)["Versions"]
    submitted = max(versions, key=lambda each: (each["SubmitTime"], -each["Version"]))
    if submitted["SubmitTime"] <= job["SubmitTime"] or is_deployed(nomad, settings):
        return None  # nothing is missing either when the stack asks for no more than what runs
    retry = (
        f"nomad job revert -address={nomad.address} -namespace={registry.namespace} "
        f"{registry.name} {submitted['Version']}"
    )
    return Revert(running=job["Version"], submitted=submitted["Version"], retry=retry)


def _deployment_of(nomad: Server, settings: Settings, version: int) -> Mapping[str, Any] | None:
    found = [each for each in _of_job(nomad, settings, "deployments") if each["JobVersion"] == version]
    return max(found, key=lambda each: each["CreateIndex"], default=None)


def failing_checks(consul: Server, service: str, *, running: bool) -> list[str]:
    """Say which of a service's checks do not pass, or that it is missing though it runs."""
    instances = consul.get(f"/v1/health/service/{service}")
    if running and not instances:
        # Nomad registers a service again within seconds, unless someone keeps taking it away.
        return [
            f"service {service} is not registered at {consul.address}, though the job runs: "
            "see that Nomad talks to this Consul, and that no second Nomad does (each removes the other's)"
        ]
    return words_of_checks(instances)


def words_of_checks(instances: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say which checks of a service's instances do not pass."""
    failing = [
        check for instance in instances for check in instance["Checks"] if check["Status"] != "passing"
    ]
    return [
        f"{check['Name']} is {check['Status']}: {_one_line(check['Output']) or 'not checked yet'}"
        for check in failing
    ]


def _placement(nomad: Server, settings: Settings, deployment: Mapping[str, Any] | None) -> list[str]:
    """Say why Nomad found no place, if it did not: its counts, then each node as it is."""
    identifier = deployment["ID"] if deployment else None
    failed = [
        each
        for each in _of_job(nomad, settings, "evaluations")
        if each.get("FailedTGAllocs")
        and (each["Status"] == "blocked" or each.get("DeploymentID") == identifier)
    ]
    if not failed:
        return []
    newest = max(failed, key=lambda each: each["CreateIndex"])
    return placement_reasons(nomad, settings, newest["FailedTGAllocs"], settings.mounted_volume)


def _failures(nomad: Server, settings: Settings, allocations: Iterable[Mapping[str, Any]]) -> list[Failure]:
    """Look into the newest allocation of the version that did not work; the older ones say the same."""
    failed = [each for each in allocations if each["ClientStatus"] != "running" or _unhealthy(each)]
    if not failed:
        return []
    newest = max(failed, key=lambda each: (each["ClientStatus"] in ("failed", "lost"), each["CreateTime"]))
    states = newest["TaskStates"] or {}
    task, state = next(
        ((task, state) for task, state in states.items() if state["Failed"]),
        next(iter(states.items()), (None, {"Events": []})),
    )
    events: list[Mapping[str, Any]] = state["Events"] or []
    return [
        Failure(
            allocation=newest["ID"],
            node=newest["NodeName"],
            version=newest["JobVersion"],
            at=_time(newest["CreateTime"]),
            events=told(events)[-_EVENTS:],
            exit_code=next(
                (each["ExitCode"] for each in reversed(events) if each["Type"] == "Terminated"), None
            ),
            stderr=_log(nomad, settings, newest["ID"], task, "stderr"),
            stdout=_log(nomad, settings, newest["ID"], task, "stdout"),
        )
    ]


def _unhealthy(allocation: Mapping[str, Any]) -> bool:
    return (allocation["DeploymentStatus"] or {}).get("Healthy") is False


def _log(nomad: Server, settings: Settings, allocation: str, task: str | None, kind: str) -> list[str]:
    if task is None:
        return []
    lines = last_lines(nomad, settings.registry.namespace, allocation, task, kind)
    return [masked(line) for line in lines]


def _one_line(text: str) -> str:
    return " ".join(masked(text).split())


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1_000_000_000, UTC).isoformat(timespec="seconds")
