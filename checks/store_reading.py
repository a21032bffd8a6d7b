"""Reading the registry's store, by a job on the machine that has the volume."""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from checks.errors import CheckError
from checks.job_run import JobRun
from checks.servers import Server
from config.settings import Settings
from jobs.nomad import to_api
from jobs.store_reading import store_reading_job


def read_store(
    nomad: Server,
    settings: Settings,
    script: Literal["upgrade_check", "report"],
    env: Mapping[str, str] | None = None,
) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Run a script of jobs/tasks there; gives its lines, and its summary. Raises CheckError."""
    job, namespace = (
        store_reading_job(settings, script, secrets.token_hex(4), env or {}),
        settings.registry.namespace,
    )
    evaluation = nomad.post("/v1/jobs", {"Job": to_api(job)}, namespace=namespace)["EvalID"]
    task = job.task_groups[0].tasks[0].name
    try:
        text = JobRun(nomad=nomad, namespace=namespace, job=job.id, evaluation=evaluation).answer(task)
    finally:
        nomad.delete(f"/v1/job/{job.id}", namespace=namespace, purge="true")
    try:
        *found, last = map(json.loads, text.splitlines())
        return found, last["summary"]
    except (ValueError, KeyError):
        raise CheckError(
            f"Nomad at {nomad.address}: the log of job {job.id} ends too early: run this again"
        ) from None
