"""What retention would remove, and what it removed: its job is run, and its log read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from checks.errors import AnswerError, CheckError
from checks.job_run import JobRun
from checks.servers import Server
from config.settings import Settings
from jobs.retention import TASK, rules


@dataclass(frozen=True)
class Run:
    """A run of the script (jobs/tasks/retention.py): its lines about repositories, and its summary."""

    repositories: list[Mapping[str, Any]]
    summary: Mapping[str, Any]


def plan(nomad: Server, settings: Settings) -> Run:
    """Ask what would go. Raises CheckError."""
    return _run(nomad, settings, "retention", {})


def apply(nomad: Server, settings: Settings, shown: Mapping[str, Any] | None) -> Run:
    """Remove it. With the summary of a plan only that one is carried out. Raises CheckError."""
    meta = {"at": str(shown["at"]), "plan": str(shown["plan"])} if shown else {}
    return _run(nomad, settings, "retention-apply", meta)


def _run(nomad: Server, settings: Settings, kind: str, meta: Mapping[str, str]) -> Run:
    job, namespace = settings.maintenance_job(kind), settings.registry.namespace
    if settings.maintenance.retention is None:
        raise CheckError(
            "docker-registry:maintenance.retention is not set: write its rules, then `pulumi up`"
        )
    _require_same_rules(nomad, settings, job)
    run = JobRun.dispatched(nomad, job, namespace, meta)
    lines = run.answer(TASK).splitlines()
    try:
        *repositories, last = map(json.loads, lines)
        return Run(repositories, last["summary"])
    except (ValueError, KeyError):
        raise CheckError(
            f"Nomad at {nomad.address}: the log of job {run.job} ends too early: run this again"
        ) from None


def _require_same_rules(nomad: Server, settings: Settings, job: str) -> None:
    """A job has the rules of the last deploy: a person would look at others than those in the file."""
    try:
        deployed = nomad.get(f"/v1/job/{job}", namespace=settings.registry.namespace)
    except AnswerError as error:
        if error.status == 404:
            raise CheckError(f"Nomad at {nomad.address} has no job {job}: `pulumi up` makes it") from None
        raise
    tasks = [task for group in deployed["TaskGroups"] for task in group["Tasks"] if task["Name"] == TASK]
    if [json.loads(task["Env"]["RULES"]) for task in tasks] != [rules(settings)]:
        raise CheckError(
            f"docker-registry:maintenance.retention.rules of stack {settings.stack} are not deployed yet: "
            "`pulumi up` does it, and removes no tag"
        )
