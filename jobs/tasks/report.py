"""Reads the store for a report: what is in it, what it shares, how it grew, what retention would remove.

Prints a line of JSON for each repository, and a summary as the last line. Changes nothing.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jobs.tasks.retention_plan import plan
from jobs.tasks.retention_rules import Rule, RuleError
from jobs.tasks.store import Repository, Store, StoreError
from jobs.tasks.store_size import SizeError, blob_files, store_size

_SHARED = 20  # blobs that are shared most, by what sharing saves

Line = Mapping[str, object]


def run(directory: Path, rules: Sequence[Mapping[str, Any]]) -> None:
    """Print the report. Raises OSError, RuleError, SizeError."""
    store, now = Store(directory), time.time()
    size = cache(store.size)
    read: dict[str, Repository] = {}
    for name in store.repositories():
        try:
            read[name] = store.repository(name)
        except StoreError as error:
            print(json.dumps({"repository": name, "damaged": str(error)}))
    users = Counter[str]()
    for repository in read.values():
        users.update(_reached(store, repository.manifests))
    removed = plan(store, [Rule.of(rule) for rule in rules], now).repositories
    leaving = {each.repository: {"tags": len(each.tags), "bytes": each.bytes} for each in removed}
    for name, repository in read.items():
        sizes = {
            digest: sum(map(size, _reached(store, [digest])))
            for digest in {tag.digest for tag in repository.tags if tag.digest}
        }
        needs = _reached(store, repository.manifests)
        line = {
            "repository": name,
            "bytes": sum(map(size, needs)),
            "own": sum(size(each) for each in needs if users[each] == 1),
            "manifests": len(repository.manifests),
            "tags": [{**asdict(tag), "bytes": sizes[tag.digest]} for tag in repository.tags if tag.digest],
            "leaving": leaving.get(name),
        }
        print(json.dumps(line))
    total, disk = store_size(directory), os.statvfs(directory)
    summary = {
        "at": now,
        "blobs": total.blobs,
        "bytes": total.bytes,
        "used": sum(map(size, users)),
        "shared": _most_shared(users, size),
        "growth": list(_growth(directory)),
        "free": disk.f_bavail * disk.f_frsize,
        "total": disk.f_blocks * disk.f_frsize,
    }
    print(json.dumps({"summary": summary}))


def _reached(store: Store, manifests: Iterable[str]) -> frozenset[str]:
    """Name the blobs that manifests need, with themselves; of an index, what its children need too."""
    found: set[str] = set()
    waiting = list(manifests)
    while waiting:
        digest = waiting.pop()
        if digest in found:
            continue
        found.add(digest)
        if manifest := store.manifest(digest):
            found.update(manifest.blobs)
            waiting += manifest.children
    return frozenset(found)


def _most_shared(users: Mapping[str, int], size: Callable[[str], int]) -> list[Line]:
    saved = {digest: (count - 1) * size(digest) for digest, count in users.items() if count > 1}
    return [
        {"digest": digest, "bytes": size(digest), "repositories": users[digest]}
        for digest in sorted(saved, key=lambda each: (-saved[each], each))[:_SHARED]
    ]


def _growth(directory: Path) -> Iterator[tuple[str, int]]:
    """Give for each day with pushes how much of what is there now was there at its end, in bytes."""
    days: Counter[str] = Counter()
    for _, status in blob_files(directory):
        days[datetime.fromtimestamp(status.st_mtime, UTC).date().isoformat()] += status.st_size
    there = 0
    for day, added in sorted(days.items()):
        there += added
        yield day, there


def main(environment: Mapping[str, str]) -> int:
    """Run; the exit code."""
    try:
        run(Path(environment["STORE"]), json.loads(environment["RULES"]))
    except (OSError, RuleError, SizeError) as error:
        print(f"cannot read the store: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
