"""Runs a program and measures it."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

_ROOT = Path(__file__).parents[1]
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Measured:
    """What a run took, and what it printed."""

    seconds: float
    peak_bytes: int  # resident memory
    output: str


def measure(module: str, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> Measured:
    """Run a Python module as a program of its own. Raises CalledProcessError."""
    command = [sys.executable, "-m", module, *arguments]
    with TemporaryFile("w+") as output:
        started, most = time.perf_counter(), 0
        with subprocess.Popen(command, cwd=_ROOT, env=dict(environment), stdout=output) as process:
            while process.poll() is None:
                # Not getrusage: that starts from what this process has, of which the new one is a copy.
                most = max(most, peak(process.pid))
                time.sleep(_PAUSE_SECONDS)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        output.seek(0)
        return Measured(seconds, most, output.read())


def peak(pid: int) -> int:
    """Give the most memory that a process had so far, in bytes; 0 if it has ended (Linux: proc(5))."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
