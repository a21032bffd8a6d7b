"""Mends the cache of a mirror and makes room in it, before the mirror starts; which it does if this fails.

A file of the cache in STORE that cannot be read, and with which the registry would not start, is removed.
Above LIMIT bytes, if there is a LIMIT, the cache is brought down to nine tenths of that: the least recently
used images go. Prints what it removed, and with a LIMIT as its last line what it did, as JSON. The cache's
size is that of its blobs.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jobs.tasks.access_times import are_kept
from jobs.tasks.attempt import AttemptError, attempt, memory_for_attempts
from jobs.tasks.cache import Cache
from jobs.tasks.eviction_plan import evict
from jobs.tasks.expiry_state import mend, prune
from jobs.tasks.store_size import SizeError, blob_sizes, readable, store_size

# Of the limit: with less room the next pull would bring the cache above it again.
_TARGET = 0.9
SECONDS = (
    600  # for all of it, while clients wait for the mirror; a disk with a million blobs takes two minutes
)


def run(environment: Mapping[str, str]) -> Mapping[str, int]:
    """Make room; gives what was done. Raises OSError, SizeError."""
    directory, limit = Path(environment["STORE"]), int(environment["LIMIT"])
    cache, before = Cache(directory), store_size(directory).bytes
    cache.remove_unfinished()
    removed = shrink(cache, directory, int(limit * _TARGET)) if before > limit else 0
    prune(directory, has_manifest=cache.has_manifest, has_blob=cache.has_layer)
    after = store_size(directory).bytes
    print(f"{readable(before)} cached, {readable(after)} now; the limit is {readable(limit)}")
    return {"removed": removed, "before": before, "bytes": after, "limit": limit}


def shrink(cache: Cache, directory: Path, target: int) -> int:
    """Bring a cache down to a size; gives the number of images that went. Raises OSError, SizeError."""
    heeded = are_kept(directory.resolve(), Path("/proc/self/mountinfo").read_text())
    if not heeded:
        print(
            f"{directory} is mounted with noatime, where a pull by digest leaves no trace: "
            "what counts is the last pull by tag, or the first pull"
        )
    images = list(cache.images(access_times=heeded))
    eviction = evict(images, dict(blob_sizes(directory)), target)
    cache.remove(eviction, images)
    for image in eviction.images:
        print(f"removed {image.name}, {_last_use(image.used)}")
    return len(eviction.images)


def _last_use(used: float) -> str:
    return f"last used {datetime.fromtimestamp(used, UTC):%Y-%m-%d %H:%M}" if used else "damaged"


def main(environment: Mapping[str, str]) -> int:
    """Run; the exit code. A cache that stays too big is no reason to keep the mirror from starting."""
    directory, memory = Path(environment["STORE"]), memory_for_attempts(environment)
    try:
        attempt(lambda: _mend(directory), seconds=SECONDS, memory=memory)
    except AttemptError as error:
        print(f"the mirror may not start: cannot mend {directory}: {error}", file=sys.stderr)
    if "LIMIT" not in environment:
        return 0
    try:
        attempt(lambda: _run(environment), seconds=SECONDS, memory=memory)
    except AttemptError as error:
        problem = f"the cache may be above its limit still: {error}"
        print(problem, file=sys.stderr)
        print(json.dumps({"problem": problem}))
    return 0


def _mend(directory: Path) -> None:
    try:
        mend(directory)
    except OSError as error:
        raise AttemptError(str(error)) from None


def _run(environment: Mapping[str, str]) -> None:
    try:
        print(json.dumps(run(environment)))
    except (OSError, SizeError) as error:
        raise AttemptError(str(error)) from None


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
