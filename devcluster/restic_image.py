"""A stand-in for restic's own image, out of which jobs take the program: Debian's restic."""

import subprocess
from pathlib import Path

from config.sections.backup import RESTIC_IMAGE
from devcluster.debian import unpack
from devcluster.libraries import add_libraries
from devcluster.programs import cached
from devcluster.recipe import recipe
from devcluster.stand_in import Layer, StandIn


def program_file() -> Path:
    """Debian's restic, for this machine."""
    return cached("debian-restic", lambda folder: unpack("restic", folder)) / "usr" / "bin" / "restic"


def restic() -> StandIn:
    """An older restic than the real image's; jobs/tasks/restic.py uses what both have."""
    program = program_file()
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.split()[
        1
    ]

    def add_files(layer: Layer) -> None:
        layer.file("usr/bin/restic", program.read_bytes(), 0o755)
        # Where it runs in the end, beside Python, the same libraries are there.
        add_libraries(layer, [program])

    return StandIn(
        name=RESTIC_IMAGE,
        version=version,
        recipe=recipe(version, __file__),
        add_files=add_files,
        instructions=('ENTRYPOINT ["/usr/bin/restic"]',),
    )
