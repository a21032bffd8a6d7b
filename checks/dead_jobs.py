"""Jobs of the stack that do not run, and that Nomad does not start again by itself."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from checks.errors import AnswerError, CheckError
from checks.servers import Server
from checks.task_events import reason, told
from config.settings import Settings

# Meta of a task group: the failure after which it was started anew. It stays, or the group would start again.
STARTED_AFTER = "started_after"
_PATIENCE, _PAUSE = 10, 0.5  # seconds


@dataclass(frozen=True, kw_only=True)
class DeadJob:
    """A job that only a deploy starts again."""

    job: str
    what: str  # as "was stopped"

    def __str__(self) -> str:
        return f"job {self.job} {self.what}"


def dead_jobs(nomad: Server, settings: Settings) -> list[DeadJob]:
    """Look at each job that the stack has at Nomad. Raises CheckError."""
    namespace = settings.registry.namespace
    jobs = [_job(nomad, name, namespace) for name in sorted(settings.job_names)]
    return [
        DeadJob(job=job["ID"], what=what) for job in jobs if job is not None and (what := _death(nomad, job))
    ]


def require_alive(nomad: Server, name: str, settings: Settings) -> None:
    """Raise CheckError if a job is dead that was deployed just now.

    The provider does not wait for a system job, so that Nomad may have no new allocation of it yet.
    """
    deadline = time.monotonic() + _PATIENCE
    while what := _state(nomad, name, settings.registry.namespace):
        if time.monotonic() < deadline:
            time.sleep(_PAUSE)
            continue
        status = f"nomad job status -address={nomad.address} -namespace={settings.registry.namespace} {name}"
        raise CheckError(
            f"Nomad at {nomad.address} took job {name}, and it {what}\n"
            f"`{status}` says more; when the cause is mended, `pulumi up` starts it anew"
        )


def started_anew(nomad: Server, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mark those groups of a job (API's data) that Nomad has given up, so that they are a new version.

    Nomad takes an unchanged job without a word, and starts nothing of it that failed in its last deployment
    (1.6.3, scheduler/reconcile.go: deploymentFailed). Marks that Nomad has are kept. Raises CheckError.
    """
    found = _job(nomad, wanted["ID"], wanted["Namespace"])
    if found is None:
        return wanted
    return _marked(wanted, {**_marks(found), **given_up(nomad, found)})


def as_started(nomad: Server, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mark a job (API's data) as Nomad's own is, so that the two can be compared. Raises CheckError."""
    found = _job(nomad, wanted["ID"], wanted["Namespace"])
    return wanted if found is None else _marked(wanted, _marks(found))


def given_up(nomad: Server, job: Mapping[str, Any]) -> dict[str, str]:
    """Find the groups of a job that Nomad does not start again, each with the id of what failed.

    Raises CheckError. A stopped job is none of these: to deploy it makes a new version in any case.
    """
    if job["Stop"] or job["Periodic"] or job["ParameterizedJob"]:
        return {}
    if job["Type"] == "system":
        return {each["TaskGroup"]: each["ID"] for each in _failed_on_their_nodes(_of_job(nomad, job))}
    if job["Type"] != "service":
        return {}
    deployment = nomad.get(f"{_path(job)}/deployment", namespace=job["Namespace"])
    if not deployment or deployment["Status"] != "failed" or deployment["JobVersion"] != job["Version"]:
        return {}
    running = Counter(each["TaskGroup"] for each in _of_job(nomad, job) if _is_running(each))
    return {
        group["Name"]: deployment["ID"]
        for group in job["TaskGroups"]
        if running[group["Name"]] < group["Count"]
    }


def _state(nomad: Server, name: str, namespace: str) -> str | None:
    job = _job(nomad, name, namespace)
    return "is not there" if job is None else _death(nomad, job)


def _death(nomad: Server, job: Mapping[str, Any]) -> str | None:
    """Say that a job does not run, and why; None if it does, or waits for its time or for a place."""
    if job["Stop"]:
        return "was stopped"
    if groups := given_up(nomad, job):
        # A name of our choice says nothing where there is one group only.
        which = f" ({', '.join(sorted(groups))})" if len(job["TaskGroups"]) > 1 else ""
        return f"is dead{which}: {_reason(_of_job(nomad, job), groups)}"
    if job["Status"] == "dead":
        return "is dead: nothing of it runs, and Nomad has nothing more to do for it"
    return None


def _reason(allocations: Sequence[Mapping[str, Any]], groups: Mapping[str, str]) -> str:
    """Give Nomad's last words of the newest allocation of these groups that does not run."""
    ended = [each for each in allocations if each["TaskGroup"] in groups and not _is_running(each)]
    newest = max(ended, key=lambda each: int(each["CreateIndex"]), default=None)
    states = ((newest or {}).get("TaskStates") or {}).values()
    failed = [state for state in states if state["Failed"]] or list(states)
    events = [each for state in failed for each in told(state["Events"] or ())]
    return reason(events) or "its last deployment failed"


def _failed_on_their_nodes(allocations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Find the failed allocations of a system job after which its node has no other."""
    newest = {each["NodeID"]: each for each in sorted(allocations, key=lambda each: int(each["CreateIndex"]))}
    return [each for each in newest.values() if each["ClientStatus"] == "failed"]


def _marks(job: Mapping[str, Any]) -> dict[str, str]:
    marks = {group["Name"]: (group.get("Meta") or {}).get(STARTED_AFTER) for group in job["TaskGroups"]}
    return {name: mark for name, mark in marks.items() if mark}


def _marked(job: Mapping[str, Any], marks: Mapping[str, str]) -> Mapping[str, Any]:
    groups = [
        {**group, "Meta": {**(group.get("Meta") or {}), STARTED_AFTER: marks[group["Name"]]}}
        if group["Name"] in marks
        else group
        for group in job["TaskGroups"]
    ]
    return {**job, "TaskGroups": groups}


def _job(nomad: Server, name: str, namespace: str) -> Mapping[str, Any] | None:
    try:
        job: Mapping[str, Any] = nomad.get(f"/v1/job/{quote(name, safe='')}", namespace=namespace)
    except AnswerError as error:
        if error.status == 404:
            return None
        raise
    return job


def _of_job(nomad: Server, job: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    allocations: Sequence[Mapping[str, Any]] = nomad.get(
        f"{_path(job)}/allocations", namespace=job["Namespace"]
    )
    return allocations


def _path(job: Mapping[str, Any]) -> str:
    return f"/v1/job/{quote(job['ID'], safe='')}"


def _is_running(allocation: Mapping[str, Any]) -> bool:
    return bool(allocation["DesiredStatus"] == "run" and allocation["ClientStatus"] == "running")
