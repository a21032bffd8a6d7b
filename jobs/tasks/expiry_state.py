"""The file in which a pull-through cache keeps what expires when (distribution: registry/proxy/scheduler)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.tasks.store_tree import Tree

_NAME = "scheduler-state.json"
_LONGEST = 16 * 1024 * 1024  # bytes, of some 60,000 entries: read, they take 70 MiB
_MANIFEST = 1  # EntryType; 0 is a blob

# Whether a repository has a digest, as the kind of content that the entry is about.
Has = Callable[[str, str], bool]


def mend(directory: Path) -> None:
    """Remove a file that cannot be read. Raises OSError.

    The registry does not start with it, and 2.x leaves one that is empty or cut when it is killed while it
    writes (measured with distribution 3.1.2 and 2.8.2).
    """
    tree = Tree(directory)
    if tree.has_name(_NAME) and not _is_too_long(tree) and _read(tree) is None:
        print(
            f"{directory / _NAME} cannot be read, and the registry would not start: removed; "
            "what is cached stays longer"
        )
        tree.remove(_NAME)


def prune(directory: Path, *, has_manifest: Has, has_blob: Has) -> None:
    """Drop the entries of what is not there any more. Raises OSError.

    One that stays would be an error in the registry's log when it expires, and no more: so a file with very
    many is left as it is.
    """
    tree = Tree(directory)
    entries = None if _is_too_long(tree) else _read(tree)
    if entries is None:
        return
    there = {
        key: entry
        for key, entry in entries.items()
        if _is_there(key, has_manifest if entry.get("EntryType") == _MANIFEST else has_blob)
    }
    if len(there) < len(entries):
        tree.replace(_NAME, json.dumps(there))


def _is_too_long(tree: Tree) -> bool:
    """Tell whether there is less memory than reading it would take."""
    return tree.has(_NAME) and tree.status(_NAME).st_size > _LONGEST


def _read(tree: Tree) -> dict[str, dict[str, Any]] | None:
    """Read the entries; None if there is no file, or none that can be read."""
    try:
        entries = json.loads(tree.read(_NAME, _LONGEST))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values()):
        return entries
    return None


def _is_there(key: str, has: Has) -> bool:
    repository, _, digest = key.rpartition("@")
    return has(repository, digest)
