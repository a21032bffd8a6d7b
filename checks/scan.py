"""What the last scan found: its report is in its allocation's folder, for as long as Nomad keeps that."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from checks.errors import AnswerError, CheckError
from checks.job_run import JobRun
from checks.servers import Server
from config.settings import Settings
from jobs.scan import REPORT, TASK, scan_service

Report = Mapping[str, Any]  # as jobs/tasks/scan.py writes it


def scan_now(nomad: Server, settings: Settings, said: Callable[[str], None]) -> Report:
    """Run the job and wait for its end; `said` gets what it writes meanwhile. Raises CheckError."""
    run = JobRun.forced(nomad, _job(settings), settings.registry.namespace)
    run.output(TASK, said)
    report = _report(nomad, settings, _allocations(nomad, settings, run.job))
    if report is None:
        raise CheckError(f"Nomad at {nomad.address}: job {run.job} left no report: run this again")
    return report


def last_scan(nomad: Server, settings: Settings) -> Report | None:
    """Read the report of the last run that ended, if Nomad still has it. Raises CheckError if it failed."""
    job, namespace = _job(settings), settings.registry.namespace
    listed = nomad.get("/v1/jobs", prefix=f"{job}/", namespace=namespace)
    runs = [each for each in listed if each["ParentID"] == job and each["Status"] == "dead"]
    for run in sorted(runs, key=lambda each: int(each["SubmitTime"]), reverse=True):
        allocations = _allocations(nomad, settings, run["ID"])
        report = _report(nomad, settings, allocations)
        if report:
            return report
        if allocations:
            # It failed, or it was stopped; then this tells why.
            JobRun(nomad=nomad, namespace=namespace, job=run["ID"], evaluation="").output(TASK)
    return None


def kept_words(consul: Server, settings: Settings) -> str:
    """Give what the check in Consul keeps of the last scan, for when Nomad has no report of it any more."""
    service = scan_service(settings)
    checks = consul.get(f"/v1/health/checks/{service}")
    if not checks:
        return f"there was no scan yet (Consul has no service {service}): wait for it, or scan with --now"
    state, words = checks[0]["Status"], checks[0]["Output"]
    return f"Nomad has no report any more; scan again with --now. Consul keeps of it: {state}\n{words}"


def _job(settings: Settings) -> str:
    if settings.maintenance.scan is None:
        raise CheckError("docker-registry:maintenance.scan is not set: set it, as {}, then `pulumi up`")
    return settings.maintenance_job("scan")


def _allocations(nomad: Server, settings: Settings, job: str) -> Sequence[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = nomad.get(
        f"/v1/job/{quote(job, safe='')}/allocations", namespace=settings.registry.namespace
    )
    return found


def _report(nomad: Server, settings: Settings, allocations: Sequence[Mapping[str, Any]]) -> Report | None:
    for allocation in allocations:
        path = f"/v1/client/fs/cat/{allocation['ID']}"
        try:
            report: Report = json.loads(
                nomad.text(path, namespace=settings.registry.namespace, path=f"alloc/{REPORT}")
            )
            return report
        except AnswerError as error:
            if error.status not in (404, 500):  # Nomad's answers if there is no such file, or no folder
                raise
    return None
