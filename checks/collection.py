"""A run of the garbage collection, started by hand and followed to its end."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from checks.errors import AnswerError, CheckError
from checks.job_run import JobRun
from checks.servers import Server
from checks.task_log import task_log
from config.settings import Settings

Said = Callable[[str, str], None]  # gets a task's name and a line that it wrote

_ENDED = ("complete", "failed", "lost")
_POLL_SECONDS = 0.5


def collect(nomad: Server, settings: Settings, said: Said, *, dry_run: bool) -> None:
    """Start a run and follow it. Raises CheckError if it fails."""
    if settings.maintenance.garbage_collection is None:
        raise CheckError(
            "docker-registry:maintenance.garbageCollection is not set, so there is no job to run: set it, "
            "as {schedule: 17 4 * * 0}, and `pulumi up`"
        )
    namespace = settings.registry.namespace
    if dry_run:
        run = JobRun.dispatched(nomad, settings.maintenance_job("gc-dry-run"), namespace, {})
    else:
        run = JobRun.forced(nomad, settings.maintenance_job("gc"), namespace)
    follow(run, said)


def follow(run: JobRun, said: Said) -> None:
    """Hand over each line that the run's tasks write. Raises CheckError if it failed.

    A run that fails while the registry is frozen has a second allocation, which ends the freeze: that is
    waited for too.
    """
    seen: dict[tuple[str, str, str], int] = {}
    since = time.monotonic()
    while True:
        ended = run.nomad.get(_path(run), namespace=run.namespace)["Status"] == "dead"
        allocations = sorted(
            run.nomad.get(f"{_path(run)}/allocations", namespace=run.namespace),
            key=lambda each: int(each["CreateIndex"]),
        )
        for allocation in allocations:
            for task in _in_order(allocation["TaskStates"] or {}):
                for kind in ("stdout", "stderr"):
                    _tell(run, (allocation["ID"], task, kind), seen, said)
        if ended and all(each["ClientStatus"] in _ENDED for each in allocations):
            break
        if not allocations:
            run.require_place(since)
        time.sleep(_POLL_SECONDS)
    if not allocations or allocations[0]["ClientStatus"] != "complete":
        raise CheckError(
            f"Nomad at {run.nomad.address}: job {run.job} failed{_reason(allocations)}; "
            "`python -m ops status` says how the registry is now"
        )


def _path(run: JobRun) -> str:
    return f"/v1/job/{quote(run.job, safe='')}"


def _in_order(states: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Sort the tasks that started by when they did."""
    started = {task: state["StartedAt"] for task, state in states.items() if state["StartedAt"]}
    return sorted(started, key=started.__getitem__)


def _tell(run: JobRun, log: tuple[str, str, str], seen: dict[tuple[str, str, str], int], said: Said) -> None:
    """Hand over the whole lines of a task's log that are new."""
    allocation, task, kind = log
    try:
        text = task_log(run.nomad, run.namespace, allocation, task, kind, offset=seen.get(log, 0))
    except AnswerError:
        return  # none yet; or the token may not read logs, and the run goes on without
    whole = text[: text.rfind("\n") + 1]
    seen[log] = seen.get(log, 0) + len(whole.encode())
    for line in whole.splitlines():
        said(task, line)


def _reason(allocations: Sequence[Mapping[str, Any]]) -> str:
    """Name the first task that failed, and how it ended."""
    states = (allocations[0]["TaskStates"] or {}) if allocations else {}
    for task in _in_order(states):
        if states[task]["Failed"]:
            ends = [each for each in states[task]["Events"] or () if each["Type"] == "Terminated"]
            return f" in task {task}" + (f" ({ends[-1]['DisplayMessage']})" if ends else "")
    return ""
