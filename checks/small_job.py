"""A job by which Nomad is asked what it would do; it is never run."""

from typing import Any

from config.settings import Settings


def small_job(settings: Settings) -> dict[str, Any]:
    """Make the least that Nomad takes for a job: it looks at the job before it looks at the token."""
    registry = settings.registry
    task = {"Name": "registry", "Driver": "docker", "Config": {"image": registry.image}}
    return {
        "ID": registry.name,
        "Name": registry.name,
        "Namespace": registry.namespace,
        "Type": "service",
        "Datacenters": list(registry.datacenters),
        "TaskGroups": [{"Name": "registry", "Tasks": [task]}],
    }
