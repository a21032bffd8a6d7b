"""Tells what is in the backups, as one JSON document: the snapshots, or what restoring one would change."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.tasks.backups import BackupError, Backups, NoBackupsError
from jobs.tasks.blob_check import Tags, files_below, tags_in
from jobs.tasks.restic import ResticError
from jobs.tasks.store import ROOT
from jobs.tasks.vault_api import VaultError


def listing(backups: Backups) -> list[dict[str, Any]]:
    """List the snapshots, oldest first. Raises ResticError."""
    return [_told(each) for each in backups.snapshots()]


def changes(backups: Backups, data: Path, wanted: str, repository: str | None) -> dict[str, Any]:
    """Compare a snapshot with the live store in `data`. Raises BackupError, OSError and ResticError."""
    snapshot = backups.find(wanted)
    with backups.files(snapshot["id"], f"{ROOT}/repositories") as files:
        before = _only(tags_in(files), repository)
    now = _only(tags_in(files_below(data / ROOT, "repositories")), repository)
    return {"snapshot": _told(snapshot), "repositories": compared(now, before)}


def compared(now: Tags, then: Tags) -> dict[str, dict[str, list[str]]]:
    """Tell by repository which tags a restore brings back, takes away, and points at other images."""
    found = {}
    for name in sorted(now.keys() | then.keys()):
        live, restored = now.get(name, {}), then.get(name, {})
        change = {
            "back": sorted(restored.keys() - live.keys()),
            "gone": sorted(live.keys() - restored.keys()),
            "changed": sorted(tag for tag in live.keys() & restored.keys() if live[tag] != restored[tag]),
        }
        if any(change.values()):
            found[name] = change
    return found


def _told(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": snapshot["id"], "time": snapshot["time"], "tags": snapshot.get("tags") or []}


def _only(tags: Tags, repository: str | None) -> Tags:
    return tags if repository is None else {repository: tags.get(repository, {})}


def main(environment: Mapping[str, str]) -> int:
    """Print what the dispatch asks for: with a snapshot its changes, else the list. The exit code."""
    wanted = environment.get("NOMAD_META_SNAPSHOT")
    try:
        backups = Backups.of_task(environment)
        if wanted:
            repository = environment.get("NOMAD_META_REPOSITORY") or None
            print(json.dumps(changes(backups, Path(environment["STORE"]), wanted, repository)))
        else:
            print(json.dumps(listing(backups)))
    except NoBackupsError as error:
        if wanted:
            print(error, file=sys.stderr)
            return 1
        print("[]")
    except (BackupError, OSError, ResticError, VaultError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
