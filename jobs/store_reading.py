"""The Nomad job that reads the store for a command: it runs once, and goes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from config.settings import Settings
from jobs import nomad
from jobs.maintenance import data_mount, maintenance_job, owner_of
from jobs.registry import DATA_DIRECTORY, volume_request
from jobs.script_task import script_task

_MEMORY = 256  # MiB; every manifest of the store is in memory, some 2 KiB each


def store_reading_job(
    settings: Settings, script: Literal["upgrade_check", "report"], run: str, env: Mapping[str, str]
) -> nomad.Job:
    """Make the job; it cannot write to the volume. `run` tells it from those of other people."""
    task = script_task(
        script,
        settings,
        user=owner_of(settings),
        env={"STORE": DATA_DIRECTORY, **env},
        volume_mounts=(data_mount(settings, read_only=True),),
    )
    task = replace(
        task,
        config=replace(task.config, network_mode="none"),  # all it needs is on the volume
        resources=nomad.Resources(cpu=task.resources.cpu, memory=_MEMORY),
    )
    made = maintenance_job(
        settings,
        settings.maintenance_job(f"{task.name}-{run}"),
        tasks=(task,),
        volumes={settings.volume: volume_request(settings, settings.volume)},
        schedule=None,
    )
    return replace(made, parameterized=None)  # it runs as soon as it is there
