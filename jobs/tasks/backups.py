"""A stack's backups: a restic repository, its password in Vault."""

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from jobs.tasks.backup_password import Password, PasswordError, command, make_password, password_in
from jobs.tasks.backup_place import PATIENCE_SECONDS, Place, PlaceError, place_of_task
from jobs.tasks.blob_check import Files, files_of_tar
from jobs.tasks.restic import Restic, ResticError
from jobs.tasks.store import ROOT
from jobs.tasks.store_size import readable
from jobs.tasks.vault_api import Vault

BEFORE_RESTORE = "before-restore"  # tag of a snapshot of what a restore replaced
_STORE = ROOT.partition("/")[0]
# In which a first backup to a bucket that failed is tried again: the next run of a daily schedule is in it.
_BEGINNING = timedelta(days=2)
_BLOCK = 4096  # bytes; the usual file systems give no file or directory less


class BackupError(Exception):
    """The backups cannot be used as asked; the message says why, and what to do."""


class NoBackupsError(BackupError):
    """There are none yet."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a backup did; sizes in bytes."""

    snapshot: str
    size: int
    added: int


class Backups:
    """The snapshots of one stack, oldest first.

    Whoever uses them holds a shared lock.
    """

    def __init__(self, restic: Restic, name: str, lock: int) -> None:
        """Take them as they are; `name` is the host that the snapshots are recorded for."""
        self._restic, self._name, self._lock = restic, name, lock

    @classmethod
    def of_task(cls, environment: Mapping[str, str], *, may_begin: bool = False) -> "Backups":
        """Open them. With `may_begin` the repository and its password are made the first time.

        Raises BackupError, ResticError and VaultError.
        """
        vault, path = Vault.of_task(environment), environment["SECRET_PATH"]
        try:
            place = place_of_task(environment, vault)
            password, lock = password_in(vault, path), place.open_lock()
        except (PasswordError, PlaceError) as error:
            raise BackupError(str(error)) from None
        scratch = Path(environment["NOMAD_ALLOC_DIR"], "tmp")
        restic = Restic(
            program=Path(environment["NOMAD_ALLOC_DIR"], "restic"),
            repository=place.repository,
            password_file=Path(environment["NOMAD_SECRETS_DIR"], "restic-password"),
            scratch=scratch,
            # Over a network each directory of a snapshot would be a request of its own.
            cache=None if place.folder else scratch / "cache",
            variables=place.variables,
        )
        fcntl.flock(lock, fcntl.LOCK_SH)
        _write_private(restic.password_file, password.text if password else "there is none yet")
        if place.has_repository(restic):
            if password is None:
                raise BackupError(
                    f"there are backups, and Vault has no password for them at {path}: put it back with "
                    f"{command('put', path)} password=-`"
                )
        else:
            _require_beginning(place, password, path)
            if not may_begin:
                raise NoBackupsError("there is no backup yet: `python -m ops backup now` makes one")
            _begin(place, restic, vault, path, password)
        if place.mark:
            place.mark.unlink(missing_ok=True)
        return cls(restic, environment["REGISTRY_JOB"], lock)

    def snapshots(self) -> list[dict[str, Any]]:
        """List them as restic does (restic, "snapshots --json")."""
        found = self._restic.json("snapshots", "--no-lock", "--host", self._name)
        return sorted(found or [], key=lambda each: str(each["time"]))

    def find(self, wanted: str) -> dict[str, Any]:
        """Find a snapshot by the beginning of its id; `latest` is the newest that no restore made.

        Raises BackupError if there is no such one, or several.
        """
        snapshots = self.snapshots()
        if wanted == "latest":
            found = [each for each in snapshots if BEFORE_RESTORE not in (each.get("tags") or ())][-1:]
        else:
            found = [each for each in snapshots if each["id"].startswith(wanted)]
        if len(found) == 1:
            return found[0]
        what = "there is no snapshot yet" if not snapshots else f"{wanted} is no snapshot"
        if found:
            what = f"{wanted} begins the names of several snapshots"
        raise BackupError(f"{what}: `python -m ops backup list` shows them, `… now` makes one")

    def take(self, data: Path, *, tags: Sequence[str] = ()) -> Taken | None:
        """Back up the store in the directory `data`; None if the registry wrote nothing yet.

        Uploads that are not finished are left out. Raises ResticError, also if a file cannot be read.
        """
        if not (data / _STORE).is_dir():
            return None
        options = [option for tag in tags for option in ("--tag", tag)]
        # A tag may have that name too, and stays; a repository may be called `tags`.
        excluded = ("--exclude", "_uploads", "--exclude", "!_manifests/tags/_uploads")
        command = ("backup", "--json", "--host", self._name, *excluded, *options, _STORE)
        summary: dict[str, Any] = {}
        try:
            with self._restic.output(*command, folder=data) as output:
                for line in output:
                    summary = _progress(line) or summary
        except ResticError:
            if summary.get("snapshot_id"):  # some files were left out: not a backup
                self.forget(summary["snapshot_id"])
            raise
        return Taken(
            snapshot=summary["snapshot_id"][:8],
            size=summary["total_bytes_processed"],
            added=summary["data_added"],
        )

    def forget(self, snapshot: str) -> None:
        """Remove one snapshot; what it alone had goes with the next backup's. Raises ResticError."""
        self._restic.run("forget", snapshot)

    def thin_out(self, keep: Mapping[str, int]) -> bool:
        """Remove old snapshots by restic's keep rules and check the rest; False if others read just now.

        Raises ResticError.
        """
        rules = [option for unit, count in keep.items() if count for option in (f"--keep-{unit}", str(count))]
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._restic.run("unlock")  # what a task left that was killed
        self._restic.run("forget", "--prune", "--host", self._name, "--group-by", "host,tags", *rules)
        self._restic.run("check")
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return True

    @contextmanager
    def files(self, snapshot: str, path: str = ROOT) -> Iterator[Files]:
        """Read the files of a snapshot below `path`, without writing one. Raises ResticError."""
        with self._restic.output("dump", "--no-lock", "--archive", "tar", snapshot, f"/{path}") as archive:
            yield files_of_tar(archive)

    def require_reachable(self) -> None:
        """Ask the repository for a little. Raises ResticError if it does not answer soon, or wrongly."""
        self._restic.run("cat", "config", "--no-lock", patience=PATIENCE_SECONDS)

    def size(self, snapshot: str) -> int:
        """Give the bytes that restoring a snapshot takes. Raises ResticError."""
        told = self._restic.json("stats", "--no-lock", "--mode", "restore-size", snapshot)
        return int(told["total_size"]) + _BLOCK * int(told["total_file_count"])  # it counts directories too

    def size_of(self, snapshot: str, blobs: Collection[str]) -> int:
        """Give the bytes that restoring some blobs takes, by their directories. Raises ResticError."""
        wanted, taken = {f"/{blob}" for blob in blobs}, 0
        command = ("ls", "--no-lock", "--json", "--recursive", snapshot, f"/{ROOT}/blobs")
        with self._restic.output(*command) as lines:
            for line in lines:
                node = json.loads(line)
                if node.get("type") == "file" and node["path"].rpartition("/")[0] in wanted:
                    taken += int(node.get("size", 0)) + 2 * _BLOCK
        return taken

    def restore(self, snapshot: str, target: Path, only: Sequence[str] = ()) -> None:
        """Write a snapshot's files below `target`, or only those below some paths. Raises ResticError."""
        includes = [option for path in only for option in ("--include", f"/{path}")]
        self._restic.run("restore", "--no-lock", "--target", str(target), *includes, snapshot)


def _require_beginning(place: Place, password: Password | None, path: str) -> None:
    """Raise BackupError if there is a password and no repository, unless a first backup was cut off."""
    if password is None:
        return
    begun = place.mark.exists() if place.mark else password.is_younger_than(_BEGINNING)
    if not begun:
        raise BackupError(
            f"Vault has a password of backups at {path}, and there are none {place.lost} To begin anew, keep "
            "a copy of the password, which older backups need, and remove it: "
            f"{command('metadata delete', path)}`"
        )


def _begin(place: Place, restic: Restic, vault: Vault, path: str, password: Password | None) -> None:
    """Make the password and the repository, or finish that. Raises ResticError and VaultError."""
    if place.mark:
        place.mark.touch()
    if password is None:
        _write_private(restic.password_file, make_password(vault, path))
    elif place.folder:  # restic makes no repository where there are keys
        shutil.rmtree(place.folder / "keys", ignore_errors=True)
    restic.run("init", patience=place.patience)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _progress(line: bytes) -> dict[str, Any] | None:
    """Print how far a backup is; give the summary that comes last."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if told.get("message_type") == "status" and told.get("percent_done"):
        print(f"{told['percent_done']:.0%} of {readable(told['total_bytes'])}")
    return told if told.get("message_type") == "summary" else None
