"""How long retention plans: 200 repositories with 50 tags each are to take less than 10 s."""

import hashlib
import json
import os
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from bench.program import Measured, measure
from jobs.tasks.store_size import readable

REPOSITORIES, TAGS = (50, 200), 50
LAYERS = 9  # of each image, and one more that all images of a repository have
RUNS = 3
_RULES = [{"repositories": ["*"], "keepTags": ["latest"], "keepNewest": 10}]
_DAY = 86_400


def bench() -> Table:
    """Write stores to a temporary directory, and plan each as the job does."""
    table = Table(
        *("repositories", "tags", "of them go", "seconds", "peak memory", "tags/s"),
        title=f"Retention plans repositories with {TAGS} tags each (goal: {REPOSITORIES[-1]} in 10 s)",
        caption=f"median of {RUNS} runs, with the files in the cache",
    )
    for repositories in REPOSITORIES:
        with TemporaryDirectory(prefix="bench-retention-") as directory:
            write_store(Path(directory), repositories)
            runs = [plan(Path(directory)) for _ in range(RUNS)]
        tags, seconds = repositories * TAGS, statistics.median(run.seconds for run in runs)
        memory = readable(max(run.peak_bytes for run in runs))
        table.add_row(
            *(str(repositories), str(tags), str(goes(runs[0]))),
            *(f"{seconds:.1f}", memory, f"{tags / seconds:.0f}"),
        )
    return table


def plan(store: Path) -> Measured:
    """Run the planner as its job does."""
    environment = {"MODE": "plan", "RULES": json.dumps(_RULES), "STORE": str(store)}
    return measure("jobs.tasks.retention", environment)


def goes(run: Measured) -> int:
    """Read the number of tags that go, from the last line."""
    return int(json.loads(run.output.splitlines()[-1])["summary"]["tags"])


def write_store(directory: Path, repositories: int) -> None:
    """Write images as the registry stores them (distribution 3.1, registry/storage/paths.go), all but layers.

    The planner looks for the layers of what goes, whether they are there or not. Each tag was pushed a day
    after the one before it.
    """
    root = directory / "docker" / "registry" / "v2"
    for number in range(repositories):
        manifests = root / "repositories" / f"team-{number % 10}" / f"app-{number}" / "_manifests"
        for tag in range(TAGS):
            names = (number, *((number, tag, layer) for layer in range(LAYERS)))
            digests = [_sha256(str(name).encode()) for name in names]
            _write_image(root, manifests, f"1.0.{tag}", digests, (tag + 1) * _DAY)


def _write_image(root: Path, manifests: Path, tag: str, layers: list[str], pushed: float) -> None:
    config = {"digest": _sha256(f"{layers} configuration".encode())}
    content = {"schemaVersion": 2, "config": config, "layers": [{"digest": layer} for layer in layers]}
    text = json.dumps(content).encode()
    digest = _sha256(text)
    algorithm, _, value = digest.partition(":")
    _write(root / "blobs" / algorithm / value[:2] / value / "data", text, pushed)
    for folder in ("revisions", f"tags/{tag}/index"):
        _write(manifests / folder / algorithm / value / "link", digest.encode(), pushed)
    _write(manifests / "tags" / tag / "current" / "link", digest.encode(), pushed)


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _write(path: Path, content: bytes, pushed: float) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    os.utime(path, (pushed, pushed))
