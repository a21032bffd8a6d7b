"""Makes room in the cache of a mirror, before the mirror starts.

Above LIMIT bytes it brings the cache in STORE down to nine tenths of that: the least recently used images go.
Prints what it removed, and as its last line what it did, as JSON. The cache's size is that of its blobs.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jobs.tasks.access_times import are_kept
from jobs.tasks.cache import Cache
from jobs.tasks.eviction_plan import evict
from jobs.tasks.expiry_state import prune
from jobs.tasks.store_size import SizeError, blob_sizes, readable, store_size

# Of the limit: with less room the next pull would bring the cache above it again.
_TARGET = 0.9


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
    try:
        done: Mapping[str, object] = run(environment)
    except (OSError, SizeError) as error:
        done = {"problem": f"the cache may be above its limit still: {error}"}
        print(done["problem"], file=sys.stderr)
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
