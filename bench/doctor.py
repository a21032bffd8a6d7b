"""How long `ops doctor` takes, on a small store and on one of 10,000 tags."""

import shutil
import statistics
import time
from typing import Any

from rich.table import Table

from bench.cluster import deployed
from bench.retention import REPOSITORIES, TAGS, write_store

RUNS = 5


def bench() -> Table:
    """Ask it as it is deployed, and again with many tags in the store."""
    table = Table(
        *("tags", "seconds", "not ok"),
        title="ops doctor, all checks but those that write (goal: 3 s)",
        caption=f"median of {RUNS} runs",
    )
    with deployed() as registry:
        table.add_row("0", *_asked(registry))
        volume = registry.cluster.instance.registry_volume
        write_store(volume, REPOSITORIES[-1])
        owner = volume.stat()
        for path in volume.rglob("*"):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        table.add_row(str(REPOSITORIES[-1] * TAGS), *_asked(registry))
    return table


def _asked(registry: Any) -> tuple[str, str]:
    found = []
    for _ in range(RUNS):
        started = time.perf_counter()
        answer = registry.doctor()
        found.append(time.perf_counter() - started)
    bad = [name for name, each in answer.items() if each["state"] in ("warning", "failure")]
    return f"{statistics.median(found):.1f}", ", ".join(bad) or "-"
