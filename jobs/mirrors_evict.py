"""The Nomad job that measures what the mirrors cache, and starts those anew that have too much."""

import json

from config.settings import Settings
from jobs import nomad
from jobs.maintenance import maintenance_job, owner_of
from jobs.mirrors import CACHE_DIRECTORY, EVICT, cache_mount, cache_request
from jobs.script_task import script_task

TASK = "evict_mirrors"
KIND = "mirrors-evict"


def mirrors_evict_job(settings: Settings, *, volume_source: str) -> nomad.Job:
    """Make the periodic job. It cannot write to the volume: each mirror's own evict task does."""
    task = script_task(
        TASK,
        settings,
        user=owner_of(settings),  # who may read the store
        env={
            "CACHES": CACHE_DIRECTORY,
            "MIRRORS": json.dumps(
                {
                    mirror.name: {"limit": mirror.limit, "upstream": mirror.upstream}
                    for mirror in settings.limited_mirrors
                }
            ),
            "MIRRORS_JOB": settings.mirrors_job,
            "EVICT_TASK": EVICT,
        },
        volume_mounts=(cache_mount(settings, read_only=True),),
        nomad_api=True,
    )
    return maintenance_job(
        settings,
        settings.maintenance_job(KIND),
        tasks=(task,),
        volumes=cache_request(settings, volume_source),
        schedule=settings.maintenance.mirrors.schedule,
    )
