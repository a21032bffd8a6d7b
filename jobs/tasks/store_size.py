"""How much is in a store on a volume, by its blobs (distribution: registry/storage/paths.go)."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.tasks.store_tree import Tree

BLOBS = "docker/registry/v2/blobs"


class SizeError(Exception):
    """The store cannot be read; the message says where and why."""


@dataclass(frozen=True)
class Size:
    """A number of blobs and their bytes."""

    blobs: int
    bytes: int

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.blobs - other.blobs, self.bytes - other.bytes)

    def __str__(self) -> str:
        return f"{self.blobs} {'blob' if self.blobs == 1 else 'blobs'}, {readable(self.bytes)}"


def readable(count: float) -> str:
    """Write bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def store_size(store: Path) -> Size:
    """Walk the whole store. Raises SizeError."""
    sizes = [size for _, size in blob_sizes(store)]
    return Size(len(sizes), sum(sizes))


def blob_sizes(store: Path) -> Iterator[tuple[str, int]]:
    """Give all blobs, by digest as `sha256:…`, with their bytes. Raises SizeError."""
    for digest, status in blob_files(store):
        yield digest, status.st_size


def blob_files(store: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Give all blobs, by digest, with what the file system knows of them. Raises SizeError.

    They are at `ALGORITHM/TWO DIGITS/DIGEST/data`; a store without any image has none. One that has two names
    (jobs/tasks/prepare_collection.py) is given once.
    """
    tree, linked = Tree(store), set[int]()
    try:
        for algorithm in tree.folders(BLOBS):
            for prefix in tree.folders(f"{BLOBS}/{algorithm}"):
                for name, status in tree.statuses(f"{BLOBS}/{algorithm}/{prefix}", "data"):
                    if status.st_nlink > 1 and status.st_ino in linked:
                        continue
                    if status.st_nlink > 1:
                        linked.add(status.st_ino)
                    yield f"{algorithm}:{name}", status
    except OSError as error:
        raise SizeError(f"cannot read {error.filename}: {error.strerror}") from None


def remember(environment: Mapping[str, str]) -> None:
    """Measure the store in STORE, if the task has one, for a later task of the allocation."""
    if store := environment.get("STORE"):
        _file(environment).write_text(json.dumps(asdict(store_size(Path(store)))))


def remembered(environment: Mapping[str, str]) -> Size | None:
    """Give what was measured before; None if nothing was, or if a kill cut the file."""
    try:
        return Size(**json.loads(_file(environment).read_text()))
    except (FileNotFoundError, ValueError):
        return None


def _file(environment: Mapping[str, str]) -> Path:
    return Path(environment["NOMAD_ALLOC_DIR"], "data", "size-before.json")
