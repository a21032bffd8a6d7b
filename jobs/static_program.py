"""A task that lays a static program out of its own image, beside the scripts that run it."""

from jobs import nomad
from jobs.maintenance import PRESTART

_NOBODY = "65534:65534"


def static_program(name: str, *, image: str, path: str) -> nomad.Task:
    """Copy the program at `path` in the image to `/alloc/NAME`, which all tasks of the allocation see."""
    return nomad.Task(
        name=name,
        user=_NOBODY,
        config=nomad.DockerConfig(
            image=image,
            auth_soft_fail=True,  # the image is public
            entrypoint=("cp", path, f"/alloc/{name}"),
            args=(),
            network_mode="none",
            cap_drop=("all",),
            security_opt=("no-new-privileges",),
            readonly_rootfs=True,
            pids_limit=16,
        ),
        lifecycle=PRESTART,
        resources=nomad.Resources(cpu=50, memory=32),
    )
