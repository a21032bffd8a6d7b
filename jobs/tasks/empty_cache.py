"""Empties the registry's part of a Redis, before a collection removes what Redis knows.

The registry is frozen by then and goes without that cache (jobs/config_template.py), so that nothing is
remembered until the freeze ends. Other keys in the same database stay.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from jobs.tasks.frozen import mark, wait_until_frozen
from jobs.tasks.redis import Redis, RedisError, UnreachableError, connected

# registry/storage/cache/redis/redis.go of distribution: every key begins with one of these.
PATTERNS = ("blobs::*", "repository::*")
_BATCH = "1000"  # keys that one step looks at


def keys(redis: Redis, pattern: str) -> Iterator[list[str]]:
    """Find the keys of a pattern, some at a time. Raises RedisError."""
    cursor = "0"
    while True:
        answer = redis.ask("SCAN", cursor, "MATCH", pattern, "COUNT", _BATCH)
        if not (isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], list)):
            raise RedisError(f"Redis answered SCAN: {answer!r}")
        cursor, found = str(answer[0]), [str(key) for key in answer[1]]
        if found:
            yield found
        if cursor == "0":
            return


def empty(environment: Mapping[str, str]) -> int:
    """Remove the registry's keys; how many there were. Raises RedisError."""
    file, removed = Path(environment["NOMAD_SECRETS_DIR"], "redis-password"), 0
    password = file.read_text() if file.exists() else None
    try:
        with connected(environment["REDIS_ADDRESS"], password) as redis:
            redis.ask("SELECT", environment["REDIS_DATABASE"])
            for pattern in PATTERNS:
                for found in keys(redis, pattern):
                    redis.ask("UNLINK", *found)
                    removed += len(found)
    except UnreachableError as error:
        raise RedisError(f"{error}; nothing is collected, since it would go on naming what is gone") from None
    return removed


def main(environment: Mapping[str, str]) -> int:
    """Wait for the freeze and empty the cache; the exit code."""
    wait_until_frozen(environment)
    try:
        removed = empty(environment)
    except RedisError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"emptied the cache in Redis: {removed} keys")
    mark(environment, "empty-cache")
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
