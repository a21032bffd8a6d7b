"""How Nomad jobs differ from those that run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from checks.job_plan import job_plan
from checks.servers import Server
from ops.job_diff import job_diff


@dataclass(frozen=True, kw_only=True)
class JobChange:
    """A job that differs."""

    label: str  # of its resource
    job: str
    lines: tuple[str, ...]  # Nomad's diff, from what runs to what was asked for


def job_changes(nomad: Server, jobs: Mapping[str, str | None]) -> Iterator[JobChange]:
    """Compare jobs, by the labels of their resources, with what Nomad has. Raises CheckError."""
    for label, jobspec in jobs.items():
        if jobspec is None:
            continue
        job = json.loads(jobspec)
        if lines := job_diff(job_plan(nomad, job)):
            yield JobChange(label=label, job=job["ID"], lines=tuple(lines))
