"""When a maintenance job last succeeded and last failed: in the Nomad variable that is the job's own.

Nomad forgets a run after some hours (`job_gc_threshold`), its variables never.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any

from jobs.tasks.freeze_record import variable_of
from jobs.tasks.nomad_api import Nomad, NomadError

# Items of the variable; Unix time in whole seconds.
SUCCEEDED, FAILED = "succeeded", "failed"
_OUTCOME_SECONDS = 30  # Nomad's client tells its servers of a task's end within a second
_PAUSE_SECONDS = 0.3


def outcome(allocation: Mapping[str, Any]) -> bool | None:
    """Tell whether all tasks before the last ones (poststop) went well; None while that is not known.

    Nomad API: Read Allocation. A task is `dead` once it ended for good.
    """
    (group,) = (each for each in allocation["Job"]["TaskGroups"] if each["Name"] == allocation["TaskGroup"])
    hooks = {task["Name"]: (task.get("Lifecycle") or {}).get("Hook") for task in group["Tasks"]}
    known = allocation["TaskStates"] or {}
    states = [known.get(name) for name, hook in hooks.items() if hook != "poststop"]
    if any(state and state["Failed"] for state in states):
        return False
    return True if all(state and state["State"] == "dead" for state in states) else None


def record_outcome(nomad: Nomad, environment: Mapping[str, str]) -> None:
    """Record how the allocation that this runs in went, once Nomad says so."""
    path = f"/v1/allocation/{environment['NOMAD_ALLOC_ID']}"
    deadline = time.monotonic() + _OUTCOME_SECONDS
    try:
        while allocation := nomad.get(path):
            found = outcome(allocation)
            if found is not None:
                record(nomad, environment, succeeded=found)
            if found is not None or time.monotonic() > deadline:
                return
            time.sleep(_PAUSE_SECONDS)
    except NomadError as error:
        _untold(error)


def record(nomad: Nomad, environment: Mapping[str, str], *, succeeded: bool) -> None:
    """Record that the job succeeded or failed now. A run is as good as it was if Nomad does not take that."""
    path = variable_of(environment["NOMAD_JOB_ID"].partition("/")[0])  # a run is a child of its job
    ended = {SUCCEEDED if succeeded else FAILED: str(int(time.time()))}
    try:
        while True:
            found = nomad.get(path)
            items = {**(found["Items"] if found else {}), **ended}
            try:
                nomad.put(path, {"Items": items}, cas=found["ModifyIndex"] if found else 0)
                return
            except NomadError as error:
                if error.status != 409:  # somebody changed it meanwhile: look again
                    raise
    except NomadError as error:
        _untold(error)


def _untold(error: NomadError) -> None:
    print(f"cannot record how the run went: {error}", file=sys.stderr)
