"""The file in which a pull-through cache keeps what expires when (distribution: registry/proxy/scheduler)."""

import json
import os
from collections.abc import Callable
from pathlib import Path

_NAME = "scheduler-state.json"
_MANIFEST = 1  # EntryType; 0 is a blob

# Whether a repository has a digest, as the kind of content that the entry is about.
Has = Callable[[str, str], bool]


def prune(directory: Path, *, has_manifest: Has, has_blob: Has) -> None:
    """Drop the entries of what is not there any more. Raises OSError.

    One that stays would be an error in the registry's log when it expires, and no more. A file that cannot be
    read goes: the registry does not start with it (measured with distribution 3.1.2 and 2.8.2).
    """
    file = directory / _NAME
    try:
        entries = json.loads(file.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:
        entries = None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        print(
            f"{file} cannot be read, and the registry would not start: removed; what is cached stays longer"
        )
        file.unlink()
        return
    there = {
        key: entry
        for key, entry in entries.items()
        if _is_there(key, has_manifest if entry.get("EntryType") == _MANIFEST else has_blob)
    }
    if len(there) < len(entries):
        _write(file, json.dumps(there))


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
