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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jobs.tasks.store import Store
from jobs.tasks.store_size import blob_folder

SCHEMA_1, UNREADABLE, NO_LAYERS, EMPTY = "schema 1", "unreadable", "no layers", "empty"

_ROOT = Path("docker", "registry", "v2")
_EMPTY_BLOB = hashlib.sha256().hexdigest()  # the one that is empty by right
_PAUSE_SECONDS = 1
# Of schema 2 (distribution, manifeststore.go); OCI's may be without any.
_MEDIA_TYPES = {
    "",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
}

Finding = Mapping[str, object]


def run(directory: Path) -> None:
    """Print what is found, and the summary. Raises OSError."""
    store = Store(directory)
    repositories = store.repositories()
    manifests = {name: tuple(store.manifests(name)) for name in repositories}
    for name in repositories:
        for found in in_repository(directory, name, manifests[name]):
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


def in_repository(directory: Path, name: str, manifests: tuple[str, ...]) -> Iterator[Finding]:
    """Find manifests that are not of schema 2, and whether 2.x knows the repository at all."""
    home = directory / _ROOT / "repositories" / name
    for digest in manifests:
        kind = kind_of(blob_folder(directory, digest) / "data")
        if kind and kind != EMPTY:  # an empty one is told as a file
            yield {"kind": kind, "repository": name, "digest": digest, "tags": tags_of(home, digest)}
    if not (home / "_layers").is_dir():
        yield {"kind": NO_LAYERS, "repository": name}


def empty_files(directory: Path) -> Iterator[Finding]:
    """Find blobs and links without content: what a crash leaves (distribution #4489)."""
    for path in still_empty(path for path in _files(directory / _ROOT) if is_empty(path)):
        yield {"kind": EMPTY, "path": str(path.relative_to(directory))}


def still_empty(paths: Iterable[Path]) -> list[Path]:
    """Look again, in order, at files that were empty: one that is being written is empty for a moment."""
    found = sorted(paths)
    if found:
        time.sleep(_PAUSE_SECONDS)
    return [path for path in found if is_empty(path)]


def kind_of(blob: Path) -> str | None:
    """Tell what is wrong with a manifest, if anything is; a missing one stops no version."""
    try:
        text = blob.read_bytes()
        if not text:
            return EMPTY
        content = json.loads(text)
        schema, known = content["schemaVersion"], (content.get("mediaType") or "") in _MEDIA_TYPES
    except FileNotFoundError:
        return None
    except (RecursionError, ValueError, TypeError, KeyError):
        return UNREADABLE
    if schema == 1:
        return SCHEMA_1
    return None if schema == 2 and known else UNREADABLE


def tags_of(home: Path, digest: str) -> list[str]:
    """Name the tags that point at a manifest of the repository in `home`."""
    links = home.glob("_manifests/tags/*/current/link")
    return sorted(link.parts[-3] for link in links if link.read_text(errors="replace") == digest)


def _files(root: Path) -> Iterator[Path]:
    """Walk over blobs and links, without uploads that go on."""
    for folder, folders, files in os.walk(root, onerror=_raise):
        if "_uploads" in folders:
            folders.remove("_uploads")
        for name in {"link", "data"}.intersection(files):
            yield Path(folder, name)


def is_empty(path: Path) -> bool:
    """Tell whether a file has lost its content; one that is gone has not."""
    with suppress(FileNotFoundError):
        return path.stat().st_size == 0 and path.parent.name != _EMPTY_BLOB
    return False


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # what goes meanwhile does not matter
        raise error


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
