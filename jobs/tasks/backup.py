"""Backs up the store, then removes old snapshots and checks the rest.

It starts while the registry is read-only, so that the store is at rest, and ends that as soon as the snapshot
is taken. If it gets no further, the allocation's last task does it. The last line says what was done.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from jobs.tasks.backups import BackupError, Backups, Taken
from jobs.tasks.freeze_held import ThawedError, require_freeze
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.restic import ResticError
from jobs.tasks.store_size import readable
from jobs.tasks.thaw import thaw
from jobs.tasks.vault_api import VaultError


def back_up(
    backups: Backups,
    data: Path,
    keep: Mapping[str, int],
    *,
    require_freeze: Callable[[], None],
    end_freeze: Callable[[], str],
) -> str:
    """Take a snapshot of the store in `data`, let the registry go, and keep some; say what was done.

    Raises ResticError, and ThawedError if the store was not known to be at rest; then there is no snapshot.
    """
    taken = backups.take(data)
    done = "nothing to back up: the registry has no image yet"
    if taken:
        done = f"snapshot {taken.snapshot} of {readable(taken.size)}, {readable(taken.added)} of it new"
    try:
        if taken:
            _require_rest(backups, taken, require_freeze)
        print(end_freeze())
    except NomadError as error:  # thaw tries it too, and it can only if this task succeeds
        return f"{done}; the registry is still read-only, and old snapshots stay until the next run: {error}"
    if not taken:
        return done
    try:
        thinned = backups.thin_out(keep)
    except ResticError as error:
        raise ResticError(f"{done}; but old snapshots stay: {error}") from None
    if not thinned:
        return f"{done}; old ones stay until the next run, since another job reads the backups"
    return f"{done}; {len(backups.snapshots())} snapshots are kept"


def _require_rest(backups: Backups, taken: Taken, require_freeze: Callable[[], None]) -> None:
    """Remove a snapshot during which the freeze ended, or may have: a manifest in it may lack a layer."""
    try:
        require_freeze()
    except (ThawedError, NomadError) as error:
        backups.forget(taken.snapshot)
        raise ThawedError(
            f"snapshot {taken.snapshot} is removed again: {error}; start the backup once more"
        ) from None


def main(environment: Mapping[str, str]) -> int:
    """Back up; the exit code."""
    keep = {unit: int(environment[f"KEEP_{unit.upper()}"]) for unit in ("daily", "weekly", "monthly")}

    def end_freeze() -> str:
        nomad, tls = Nomad.of_task(environment), environment["REGISTRY_TLS"] == "true"
        return thaw(nomad, environment["REGISTRY_JOB"], environment["NOMAD_ALLOC_ID"], tls=tls)

    def require() -> None:
        require_freeze(Nomad.of_task(environment), environment)

    try:
        backups = Backups.of_task(environment, may_begin=True)
        store = Path(environment["STORE"])
        print(back_up(backups, store, keep, require_freeze=require, end_freeze=end_freeze))
    except (BackupError, ResticError, ThawedError, VaultError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
