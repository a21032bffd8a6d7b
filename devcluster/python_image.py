"""A stand-in for the image with Python in which the scripts of jobs/tasks run: Debian's Python."""

import subprocess
from pathlib import Path

from config.sections.registry import SCRIPT_IMAGE
from devcluster.debian import unpack
from devcluster.libraries import add_libraries
from devcluster.programs import cached
from devcluster.recipe import recipe
from devcluster.stand_in import Layer, StandIn

# Of the standard library: what tests Python, installs packages, or is documentation.
_WITHOUT = frozenset({"test", "ensurepip", "lib2to3", "pydoc_data", "__pycache__"})


def python_3() -> StandIn:
    """Python with its standard library."""
    release = _release()
    package = cached(f"debian-{release}", lambda folder: _unpack(release, folder))
    program, library = package / "usr" / "bin" / release, package / "usr" / "lib" / release
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]

    def add_files(layer: Layer) -> None:
        layer.file(f"usr/bin/{release}", program.read_bytes(), 0o755)
        layer.link("usr/bin/python3", release)
        layer.tree(f"usr/lib/{release}", library, without=_WITHOUT)
        layer.link("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")  # where OpenSSL looks
        add_libraries(layer, [program, *sorted(library.glob("lib-dynload/*.so"))])

    return StandIn(
        name=SCRIPT_IMAGE,
        version=version,
        recipe=recipe(version, __file__),
        add_files=add_files,
        instructions=('CMD ["python3"]',),
    )


def _release() -> str:
    """Name Debian's Python 3, such as python3.11."""
    package = cached("debian-python3-minimal", lambda folder: unpack("python3-minimal", folder))
    return (package / "usr" / "bin" / "python3").readlink().name


def _unpack(release: str, folder: Path) -> None:
    for package in (f"{release}-minimal", f"lib{release}-minimal", f"lib{release}-stdlib"):
        unpack(package, folder)
