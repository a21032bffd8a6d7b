"""The file in which a pull-through cache keeps what expires when (distribution: registry/proxy/scheduler)."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NAME = "scheduler-state.json"
_MANIFEST = 1  # EntryType; 0 is a blob

# Whether a repository has a digest, as the kind of content that the entry is about.
Has = Callable[[str, str], bool]


def mend(directory: Path) -> None:
    """Remove a file that cannot be read. Raises OSError.

    The registry does not start with it, and 2.x leaves one that is empty or cut when it is killed while it
    writes (measured with distribution 3.1.2 and 2.8.2).
    """
    file = directory / _NAME
    if _read(file) is None and file.exists():
        print(
            f"{file} cannot be read, and the registry would not start: removed; what is cached stays longer"
        )
        file.unlink()


def prune(directory: Path, *, has_manifest: Has, has_blob: Has) -> None:
    """Drop the entries of what is not there any more. Raises OSError.

    One that stays would be an error in the registry's log when it expires, and no more.
    """
    file = directory / _NAME
    entries = _read(file)
    if entries is None:
        return
    there = {
        key: entry
        for key, entry in entries.items()
        if _is_there(key, has_manifest if entry.get("EntryType") == _MANIFEST else has_blob)
    }
    if len(there) < len(entries):
        _write(file, json.dumps(there))


def _read(file: Path) -> dict[str, dict[str, Any]] | None:
    """Read the entries; None if there is no file, or none that can be read."""
    try:
        entries = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values()):
        return entries
    return None


def _is_there(key: str, has: Has) -> bool:
    repository, _, digest = key.rpartition("@")
    return has(repository, digest)


def _write(file: Path, text: str) -> None:
    """Replace the file as a whole."""
    new = file.with_name(f"{_NAME}.new")
    with new.open("w") as written:
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    new.replace(file)
