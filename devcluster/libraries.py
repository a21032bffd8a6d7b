"""The shared libraries of dynamic programs, which come from this machine."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from devcluster.errors import ClusterError
from devcluster.stand_in import Layer


def add_libraries(layer: Layer, programs: Iterable[Path]) -> None:
    """Add what the programs need, and their loader, as `ldd` finds it. Raises ClusterError without `ldd`."""
    if not shutil.which("ldd"):
        raise ClusterError("`ldd` is missing, which tells the libraries of a program: install libc-bin")
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False)
    for library in sorted(set(re.findall(r"(/\S+) \(0x", listed.stdout))):
        layer.file(library.removeprefix("/"), Path(library).read_bytes(), 0o755)
