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

Report = Mapping[str, Any]  # images and summary, as jobs/tasks/scan.py writes them


def scan_now(nomad: Server, settings: Settings, said: Callable[[str], None]) -> Report:
    """Run the job and wait for its end; `said` gets what it writes meanwhile. Raises CheckError.

    A scan that is cut off gives what it found until then, and a summary that says so.
    """
    run = JobRun.forced(nomad, _job(settings), settings.registry.namespace)
    try:
        run.output(TASK, said)
    except CheckError as error:
        if report := _report(nomad, settings, _allocations(nomad, settings, run.job)):
            return _cut_off(report, error)
        raise
    report = _report(nomad, settings, _allocations(nomad, settings, run.job))
    if report is None:
        raise CheckError(f"Nomad at {nomad.address}: job {run.job} left no report: run this again")
    return report


def last_scan(nomad: Server, settings: Settings) -> Report | None:
    """Read the report of the last run that ended, if Nomad still has it. Raises CheckError if it failed.

    One that was cut off is told as `scan_now` does.
    """
    job, namespace = _job(settings), settings.registry.namespace
    listed = nomad.get("/v1/jobs", prefix=f"{job}/", namespace=namespace)
    runs = [each for each in listed if each["ParentID"] == job and each["Status"] == "dead"]
    for run in sorted(runs, key=lambda each: int(each["SubmitTime"]), reverse=True):
        allocations = _allocations(nomad, settings, run["ID"])
        report = _report(nomad, settings, allocations)
        if report and report["summary"]:
            return report
        if allocations:
            # It failed, or it was stopped; then this tells why.
            try:
                JobRun(nomad=nomad, namespace=namespace, job=run["ID"], evaluation="").output(TASK)
            except CheckError as error:
                if report:
                    return _cut_off(report, error)
                raise
    return None


def _cut_off(report: Report, error: CheckError) -> Report:
    """End the report of a scan that was cut off with the reason. Raises that of one that came to its end."""
    if report["summary"]:
        raise error
    images = report["images"]
    why = " ".join(str(error).split())
    summary = {
        "images": len(images),
        "severe": sum(bool(each.get("severe")) for each in images),
        "failed": 1 + sum("problem" in each for each in images),
        "words": f"the scan was cut off after {len(images)} images: {why}",
    }
    return {"images": images, "summary": summary}


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
    """Read the lines of a run: its images, and its summary if it came to its end; None without any."""
    for allocation in allocations:
        path = f"/v1/client/fs/cat/{allocation['ID']}"
        try:
            text = nomad.text(path, namespace=settings.registry.namespace, path=f"alloc/{REPORT}")
        except AnswerError as error:
            if error.status not in (404, 500):  # Nomad's answers if there is no such file, or no folder
                raise
        else:
            # The last line may be cut off.
            lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
            summary = lines.pop()["summary"] if lines and "summary" in lines[-1] else None
            return {"images": lines, "summary": summary}
    return None
