"""The Nomad jobs of retention: one says what would go, one removes it."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from config.registry import go_duration
from config.sections.maintenance import RetentionRule
from config.settings import Settings
from jobs import nomad
from jobs.duration import Duration
from jobs.maintenance import data_mount, frozen, maintenance_job, owner_of
from jobs.registry import DATA_DIRECTORY, volume_request
from jobs.script_task import script_task

TASK = "retention"
# Of a run that is to do just what another one showed (jobs/tasks/retention.py).
META = ("at", "plan")
_MEMORY = 256  # MiB; every manifest of the store is in memory, some 2 KiB each


def plan_job(settings: Settings, *, volume_source: str) -> nomad.Job:
    """Make the job that is dispatched to see what would go; it cannot write to the volume."""
    return _job(settings, settings.maintenance_job("retention"), volume_source, (_task(settings, "plan"),))


def apply_job(settings: Settings, *, volume_source: str) -> nomad.Job:
    """Make the job that is dispatched to remove it; the registry takes no pushes meanwhile."""
    tasks = frozen(settings, _task(settings, "apply"))
    return _job(settings, settings.maintenance_job("retention-apply"), volume_source, tasks)


def before_collection(settings: Settings) -> tuple[nomad.Task, ...]:
    """Give what runs before each garbage collection, frozen: the same, if the stack asks for it."""
    retention = settings.maintenance.retention
    return (_task(settings, "apply"),) if retention and retention.apply else ()


def rules(settings: Settings) -> list[Mapping[str, Any]]:
    """Give the rules as the script reads them: ages in seconds."""
    retention = settings.maintenance.retention
    assert retention is not None  # noqa: S101 - for the type checker; without it there are no such jobs
    return [_rule(rule) for rule in retention.rules]


def _rule(rule: RetentionRule) -> Mapping[str, Any]:
    written = rule.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    if rule.keep_younger_than:
        written["keepYoungerThan"] = _seconds(rule.keep_younger_than)
    if rule.keep_semver:
        written["keepSemver"] = rule.keep_semver.model_dump()
    return written


def _seconds(age: str) -> float:
    """Read an age: Go's duration, or days, which Go has not."""
    days = re.fullmatch(r"(\d+)d", age)
    return int(days[1]) * 86_400 if days else go_duration(age) / Duration.seconds(1).nanoseconds


def _job(settings: Settings, job: str, volume_source: str, tasks: tuple[nomad.Task, ...]) -> nomad.Job:
    volumes = {settings.volume: volume_request(settings, volume_source)}
    made = maintenance_job(settings, job, tasks=tasks, volumes=volumes, schedule=None)
    return replace(made, parameterized=nomad.Parameterized(meta_optional=META))


def _task(settings: Settings, mode: Literal["plan", "apply"]) -> nomad.Task:
    made = script_task(
        TASK,
        settings,
        user=owner_of(settings),
        env={"MODE": mode, "RULES": json.dumps(rules(settings)), "STORE": DATA_DIRECTORY},
        volume_mounts=(data_mount(settings, read_only=mode == "plan"),),
    )
    return replace(
        made,
        config=replace(made.config, network_mode="none"),  # all it needs is on the volume
        resources=nomad.Resources(cpu=made.resources.cpu, memory=_MEMORY),
    )
