"""Reads the store for what another version of the registry stumbles over; changes nothing.

Prints a line of JSON for each thing found, and a summary as the last line. What each means was tried with
distribution 2.8.2 and 3.1.2 (checks/upgrade.py says it).
"""

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from jobs.tasks.manifest_reader import read
from jobs.tasks.store import ROOT, Store, layers_of
from jobs.tasks.store_tree import Tree

SCHEMA_1, UNREADABLE, NO_LAYERS, EMPTY = "schema 1", "unreadable", "no layers", "empty"

_EMPTY_BLOB = hashlib.sha256().hexdigest()  # the one that is empty by right
_PAUSE_SECONDS = 1

Finding = Mapping[str, object]


def run(directory: Path) -> None:
    """Print what is found, and the summary. Raises OSError."""
    store = Store(directory)
    repositories = store.repositories()
    manifests = {name: tuple(store.manifests(name)) for name in repositories}
    for name in repositories:
        for found in in_repository(store, name, manifests[name]):
            print(json.dumps(found))
    for found in empty_files(directory):
        print(json.dumps(found))
    disk = os.statvfs(directory)
    summary = {
        "repositories": len(repositories),
        "manifests": sum(map(len, manifests.values())),
        "free": disk.f_bavail * disk.f_frsize,
        "total": disk.f_blocks * disk.f_frsize,
    }
    print(json.dumps({"summary": summary}))


def in_repository(store: Store, name: str, manifests: tuple[str, ...]) -> Iterator[Finding]:
    """Find manifests that are not of schema 2, and whether 2.x knows the repository at all."""
    kinds = {digest: kind for digest in manifests if (kind := kind_of(store, digest))}
    tags = tags_by_digest(store, name) if kinds else {}
    for digest, kind in kinds.items():
        if kind != EMPTY:  # an empty one is told as a file
            yield {"kind": kind, "repository": name, "digest": digest, "tags": tags.get(digest, [])}
    if not store.tree.has_folder(layers_of(name)):
        yield {"kind": NO_LAYERS, "repository": name}


def empty_files(directory: Path) -> Iterator[Finding]:
    """Find blobs and links without content: what a crash leaves (distribution #4489)."""
    stored = (path for path in Tree(directory).files(ROOT) if path.endswith(("/data", "/link")))
    ours = (directory / path for path in stored if "/_uploads/" not in path)  # those go on
    for path in still_empty(path for path in ours if is_empty(path)):
        yield {"kind": EMPTY, "path": str(path.relative_to(directory))}


def still_empty(paths: Iterable[Path]) -> list[Path]:
    """Look again, in order, at files that were empty: one that is being written is empty for a moment."""
    found = sorted(paths)
    if found:
        time.sleep(_PAUSE_SECONDS)
    return [path for path in found if is_empty(path)]


def kind_of(store: Store, digest: str, version: str = "3") -> str | None:
    """Tell what is wrong with a manifest for a version of the registry; a missing one stops none."""
    try:
        text = store.text(digest)
        if not text:
            return EMPTY
        document = read(text)
    except FileNotFoundError:
        return None
    except ValueError:
        return UNREADABLE
    if document.schema_version == 1:
        return SCHEMA_1
    return None if document.is_readable(version) else UNREADABLE


def tags_by_digest(store: Store, repository: str) -> Mapping[str, Sequence[str]]:
    """Name the tags that point at each manifest of a repository."""
    found: dict[str, list[str]] = {}
    for tag in store.tags(repository):
        if digest := store.pointed_at(repository, tag):
            found.setdefault(digest, []).append(tag)
    return found


def is_empty(path: Path) -> bool:
    """Tell whether a file has lost its content; one that is gone has not."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        return S_ISREG(found.st_mode) and found.st_size == 0 and path.parent.name != _EMPTY_BLOB
    return False


def main(environment: Mapping[str, str]) -> int:
    """Run; the exit code."""
    try:
        run(Path(environment["STORE"]))
    except OSError as error:
        print(f"cannot read the store: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
