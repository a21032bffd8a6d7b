"""Tells what the registry's garbage collection would free, from what its dry run wrote and from the store.

The last line of the log is that as JSON.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from jobs.tasks.store import Store
from jobs.tasks.store_size import Size

# distribution 2.8 and 3.1, registry/storage/garbagecollect.go.
_COUNT = re.compile(r"^\d+ blobs marked, (\d+) blobs and \d+ manifests eligible for deletion$", re.MULTILINE)
_BLOB = re.compile(r"^blob eligible for deletion: (\S+)$", re.MULTILINE)


class PredictError(Exception):
    """The collection did not tell; the message says why."""


def eligible_blobs(output: str) -> list[str]:
    """Read the digests of the blobs that would go. Raises PredictError."""
    count, digests = _COUNT.search(output), _BLOB.findall(output)
    if count is None or len(digests) != int(count[1]):
        raise PredictError("the dry run did not come to its end: the log of its task says why")
    return digests


def size_of(digests: list[str], directory: Path) -> Size:
    """Measure what goes from a store on a volume. Raises OSError.

    A layer that was pushed by another digest than the store's gets a second name before the collection
    (jobs/tasks/prepare_collection.py): it goes with the last of its names.
    """
    store, going = Store(directory), set(digests)
    for name in store.repositories():
        for alias, kept in store.aliases(name).items():
            if not store.has(alias) and alias not in digests:
                going.discard(kept)
    files: dict[int, list[os.stat_result]] = {}
    for digest in going:
        with suppress(FileNotFoundError):
            status = store.status(digest)
            files.setdefault(status.st_ino, []).append(status)
    gone = [names[0].st_size for names in files.values() if len(names) >= names[0].st_nlink]
    return Size(len(gone), sum(gone))


def main(environment: Mapping[str, str]) -> int:
    """Predict; the exit code."""
    store = environment.get("STORE")  # none where the images are not on a volume
    try:
        output = Path(environment["OUTPUT"])
        digests = eligible_blobs(output.read_text() if output.exists() else "")
        size = size_of(digests, Path(store)) if store else None
    except (PredictError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"a run would free {size or f'{len(digests)} blobs'}")
    print(json.dumps({"would_free": asdict(size) if size else {"blobs": len(digests)}}))
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
