"""Runs a script, and ends when Nomad's log has all that it wrote.

Nomad stops reading what a container writes as soon as that has ended (drivers/docker/handle.go, run). On
a busy machine the log would lack the last lines, and `python -m ops` reads them.
"""

import atexit
import io
import os
import runpy
import sys
import time
from collections.abc import Mapping
from pathlib import Path

PATIENCE_SECONDS = 10
_PAUSE_SECONDS = 0.05


class Counted(io.TextIOWrapper):
    """A stream that counts the bytes which went through it."""

    size = 0

    def write(self, text: str, /) -> int:
        """Write it, and count."""
        self.size += len(text.encode(errors=self.errors or "strict"))
        return super().write(text)


def wait_for_log(environment: Mapping[str, str], written: Mapping[str, int]) -> None:
    """Wait until the log has so many bytes of `stdout` and of `stderr`; not if Nomad keeps none."""
    folder, task = Path(environment["NOMAD_ALLOC_DIR"], "logs"), environment["NOMAD_TASK_NAME"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    for kind, size in written.items():
        while _is_short(folder, f"{task}.{kind}", size) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)


def _is_short(folder: Path, name: str, size: int) -> bool:
    """Whether a log is kept, in files of which a full one gets a successor, and has less than `size`."""
    files = list(folder.glob(f"{name}.*"))
    return bool(files) and sum(file.stat().st_size for file in files) < size


def main(module: str, environment: Mapping[str, str]) -> None:
    """Run a module as a script, and wait for its log in the end."""
    streams = {
        kind: Counted(stream.buffer, encoding="utf-8", errors="backslashreplace", write_through=True)
        for kind, stream in (("stdout", sys.stdout), ("stderr", sys.stderr))
    }
    sys.stdout, sys.stderr = streams["stdout"], streams["stderr"]
    # After the words of an exception that nobody caught.
    atexit.register(lambda: wait_for_log(environment, {kind: each.size for kind, each in streams.items()}))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], os.environ)
