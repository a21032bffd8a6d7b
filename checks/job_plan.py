"""What Nomad would do with a job: it plans, and changes nothing (Nomad API: Jobs, "Create Job Plan")."""

from collections.abc import Mapping
from typing import Any

from checks.errors import AnswerError
from checks.servers import Server

_PARTS = ("Objects", "TaskGroups", "Tasks")  # what a part may be made of, beside fields


def job_plan(nomad: Server, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Plan a job, with its structural difference to what Nomad has; `job` is the API's data.

    Needs the same rights as to submit it. Raises AnswerError.
    """
    path, namespace = f"/v1/job/{job['ID']}", job["Namespace"]
    if any(group.get("Scaling") for group in job["TaskGroups"]):
        job = _with_the_counts_that_run(nomad, path, job)
    plan: Mapping[str, Any] = nomad.post(f"{path}/plan", {"Job": job, "Diff": True}, namespace=namespace)
    return {**plan, "Diff": _without_empty_edits(plan["Diff"])}


def _without_empty_edits(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Count a part as edited only if something in it differs.

    Nomad compares a group's `scaling` with its indexes in the store, calls it edited each time, and leaves
    them out of the fields that it shows (nomad/structs/diff.go: scalingDiff, TaskGroup.Diff).
    """
    parts = {kind: list(map(_without_empty_edits, part[kind])) for kind in _PARTS if part.get(kind)}
    inner = [*(part.get("Fields") or ()), *(each for found in parts.values() for each in found)]
    empty = part["Type"] == "Edited" and all(each["Type"] == "None" for each in inner)
    return {**part, **parts, **({"Type": "None"} if empty else {})}


def _with_the_counts_that_run(nomad: Server, path: str, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave the number of instances to the autoscaler, as a deploy does (preserve_counts)."""
    try:
        found = nomad.get(path, namespace=job["Namespace"])
    except AnswerError as error:
        if error.status == 404:
            return job
        raise
    running = {group["Name"]: group["Count"] for group in found["TaskGroups"]}
    groups = [
        {**group, "Count": running.get(group["Name"], group["Count"])} if group.get("Scaling") else group
        for group in job["TaskGroups"]
    ]
    return {**job, "TaskGroups": groups}
