"""The images that jobs run: pulled where Docker's hub can be reached, else stand-ins of the same use."""

import subprocess
from collections.abc import Callable, Collection, Mapping

from config.sections.backup import RESTIC_IMAGE
from config.sections.registry import SCRIPT_IMAGE
from devcluster.engine import docker
from devcluster.progress import say
from devcluster.python_image import python_3
from devcluster.registry_images import registry_2, registry_3
from devcluster.restic_image import restic
from devcluster.stand_in import RECIPE_LABEL, StandIn
from devcluster.trivy_image import NAME as TRIVY
from devcluster.trivy_image import trivy

PULL_SECONDS = 60

STAND_INS: Mapping[str, Callable[[], StandIn]] = {
    "registry:3": registry_3,
    "registry:2": registry_2,
    SCRIPT_IMAGE: python_3,
    RESTIC_IMAGE: restic,
    TRIVY: trivy,
}
# Trivy takes minutes to build, and few clusters scan: `python -m devcluster trivy`.
USUAL = [name for name in STAND_INS if name != TRIVY]


def ensure(docker_host: str, names: Collection[str] = USUAL) -> None:
    """Give the engine the images: what it has, what can be pulled, else stand-ins."""
    listed = docker(docker_host, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    missing = [name for name in names if name not in listed]
    # One try tells whether the hub can be reached.
    if missing and _pull(docker_host, missing[0]):
        missing = [name for name in missing[1:] if not _pull(docker_host, name)]
    for name in names:
        if name in missing:
            _import(docker_host, STAND_INS[name]())
            say(f"{name} cannot be pulled here: using a stand-in made on this machine")
        elif name in listed:
            _renew(docker_host, name)


def _renew(docker_host: str, name: str) -> None:
    """Replace a stand-in that an older recipe made."""
    label = f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}'
    recipe = docker(docker_host, "image", "inspect", "--format", label, name).strip()
    if recipe:
        image = STAND_INS[name]()
        if recipe != image.recipe:
            _import(docker_host, image)


def _pull(docker_host: str, name: str) -> bool:
    command = ["docker", "--host", docker_host, "pull", "--quiet", name]
    try:
        return subprocess.run(command, capture_output=True, timeout=PULL_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _import(docker_host: str, image: StandIn) -> None:
    docker(docker_host, "import", *image.changes(), str(image.archive()), image.name)
