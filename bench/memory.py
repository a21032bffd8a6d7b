"""How much memory the program takes, and what the engine starts beside it."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rich.table import Table

from bench.cluster import deployed
from bench.program import peak
from jobs.tasks.store_size import readable

_PAUSE_SECONDS = 0.01
# What is in a process's command line.
_PROCESSES = {
    "engine": re.compile(r"^pulumi\0preview"),
    "language host": re.compile(r"^\S*pulumi-language-python\0"),
    "program, __main__.py": re.compile(r"pulumi-language-python-exec"),
    "local plugins, each (most is shared)": re.compile(r"fork_server import serve"),
}


def bench() -> Table:
    """Look at the processes of a preview while it runs."""
    table = Table("process", "peak memory", title="Memory of pulumi preview", caption="resident; one run")
    found = dict.fromkeys(_PROCESSES, 0)
    with deployed() as registry:
        command = ["pulumi", "preview", "--stack", "dev"]
        with subprocess.Popen(
            command, cwd=registry.stack.project, env=registry.cluster.env, stdout=subprocess.DEVNULL
        ) as preview:
            while preview.poll() is None:
                for name, pid in _running():
                    with suppress(OSError):
                        found[name] = max(found[name], peak(pid))
                time.sleep(_PAUSE_SECONDS)
    for name, most in found.items():
        table.add_row(name, readable(most))
    return table


def _running() -> Iterator[tuple[str, int]]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = file.read_text()
            for name, pattern in _PROCESSES.items():
                if pattern.search(line):
                    yield name, int(file.parent.name)
