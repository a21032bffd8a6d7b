"""Puts a snapshot in the place of the store, the whole of it or one repository.

Runs while the registry is read-only; the thaw after it starts the registry again. The snapshot is written
beside the live store, on the same file system, and checked; only then a directory is renamed. Whatever
fails before leaves the live store as it was. What is replaced is backed up first, under a tag of its own.
"""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import ENOTDIR
from pathlib import Path

from jobs.tasks.backups import BEFORE_RESTORE, BackupError, Backups
from jobs.tasks.blob_check import check, digest_of, files_below, listed, manifests_in
from jobs.tasks.freeze_held import ThawedError, require_freeze
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.restic import ResticError
from jobs.tasks.store import ROOT
from jobs.tasks.store_size import readable
from jobs.tasks.store_tree import Tree
from jobs.tasks.vault_api import VaultError

# In the registry's root directory, where it looks only for its own.
_NEW, _OLD = ".restore", ".before-restore"
_STORE = ROOT.partition("/")[0]
_PLACE = re.compile(
    rf"{_STORE}|{ROOT}/repositories/([a-z0-9][a-z0-9._-]*/)+_manifests"
)  # what a restore replaces
_AT_ONCE = 1000  # paths for one command of restic's
_NO_ROOM = re.compile("no space left|quota exceeded", re.IGNORECASE)  # ENOSPC and EDQUOT, in Go's words
_LONGEST_PLACE = 1024  # bytes; a repository's name has 255 at most
_MARGIN = 64 * 1024**2  # bytes that stay free


class RestoreError(Exception):
    """The restore did not happen; the message says why, and what to do."""


def restore(
    backups: Backups,
    data: Path,
    *,
    wanted: str,
    repository: str | None,
    accept_damage: bool,
    require_freeze: Callable[[], None],
) -> str:
    """Restore a snapshot to the registry's root directory `data`; say what was done.

    Raises BackupError, NomadError, ResticError, RestoreError, ThawedError and OSError; then the live store is
    as it was.
    """
    mend(data)
    snapshot = str(backups.find(wanted)["id"])
    with _beside(data) as new:
        problems = _write(backups, snapshot, new, repository)
        problems += _without_links(new)
        manifests = manifests_in(files_below(new / ROOT, "repositories"))
        found = check(files_below(new / ROOT), manifests)
        problems += found.problems
        if problems and not accept_damage:
            raise RestoreError(
                f"snapshot {snapshot[:8]} is damaged, and nothing was changed; `--accept-damage` restores "
                f"what there is:\n{listed(problems)}"
            )
        replaced = backups.take(data, tags=[BEFORE_RESTORE])
        os.sync()  # the new store is on the disk before the old one goes
        try:
            require_freeze()
        except ThawedError as error:
            if replaced:
                backups.forget(replaced.snapshot)
            raise ThawedError(f"nothing was changed: {error}; start the restore once more") from None
        if repository is None:
            swap(data, _STORE, new / _STORE)
        else:
            _merge(data, new, repository)
    _forget(data / _OLD)
    undo = f"; what was there before is in snapshot {replaced.snapshot}" if replaced else ""
    return f"restored {repository or 'everything'} from snapshot {snapshot[:8]}: {found}{undo}"


def mend(data: Path) -> None:
    """Put right what a restore left that was cut off.

    Raises OSError, and RestoreError if what it replaced may be the only copy.
    """
    new, old = data / _NEW, data / _OLD
    if (old / "content").exists() and not (old / "done").exists():  # before the second rename had ended
        path = _noted_place(data)
        home, known = data / path, _PLACE.fullmatch(path)
        if not known or home.exists():
            place = f" ({path})" if known else ""
            raise RestoreError(
                f"a restore was cut off, and {_OLD}/content in the volume of the images may be the only copy "
                f"of what it replaced: move it back to its place{place}, or remove {_OLD} if the registry "
                "has all its images"
            )
        (old / "content").rename(home)
        _sync(home.parent)
    if new.exists():
        shutil.rmtree(new)
    if old.exists():
        _forget(old)


def _noted_place(data: Path) -> str:
    """Read where what was put aside belongs; empty if nobody knows. Raises OSError."""
    try:
        return Tree(data).read(f"{_OLD}/path", _LONGEST_PLACE).decode(errors="replace")
    except FileNotFoundError:
        return ""


def swap(data: Path, path: str, new: Path) -> None:
    """Put the directory `new` at a path below `data`, and what was there aside. Raises OSError."""
    live, old, tree = data / path, data / _OLD, Tree(data)
    tree.make(path.rpartition("/")[0])  # fails at a link
    if tree.has_name(path) and not tree.has_folder(path):
        raise NotADirectoryError(
            ENOTDIR, "a link or a file is where a directory belongs: remove it", str(live)
        )
    old.mkdir()
    (old / "path").write_text(path)
    # On the disk before anything moves: after a power cut it is all that tells where the content belongs.
    for each in (old / "path", old, data):
        _sync(each)
    try:
        if live.exists():
            live.rename(old / "content")
        new.rename(live)
        _sync(live.parent)
        (old / "done").touch()
        _sync(old)
    except BaseException:
        if (old / "content").exists() and not live.exists():
            (old / "content").rename(live)
        raise


def _forget(old: Path) -> None:
    """Remove what was put aside; what tells that it may go is removed last. Raises OSError."""
    if (old / "content").exists():
        shutil.rmtree(old / "content")
        _sync(old)
    shutil.rmtree(old)


def _sync(path: Path) -> None:
    """Have a file or directory on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _beside(data: Path) -> Iterator[Path]:
    """Give a directory on the live store's file system, and remove it in the end."""
    new = data / _NEW
    new.mkdir()
    try:
        yield new
    finally:
        shutil.rmtree(new)


def _write(backups: Backups, snapshot: str, new: Path, repository: str | None) -> list[str]:
    """Write a snapshot below `new`; give what restic could not restore.

    Raises RestoreError, also if there is no room for it, or if the backups cannot be read any more.
    """
    try:
        if repository is None:
            _require_room(new, backups.size(snapshot))
            backups.restore(snapshot, new)
        else:
            _write_repository(backups, snapshot, new, repository)
    except ResticError as error:
        if (
            _NO_ROOM.search(str(error)) or shutil.disk_usage(new).free < _MARGIN
        ):  # no damage of the snapshot's
            raise RestoreError(
                f"there is no room to restore snapshot {snapshot[:8]} beside the live store, and nothing was "
                f"changed: make room ({error})"
            ) from None
        _require_reachable(backups, error)
        return [str(error)]
    return []


def _without_links(new: Path) -> list[str]:
    """Remove what the registry never writes from a restored store; name it."""
    tree = Tree(new)
    strange = [*tree.strange()]
    for path in strange:
        tree.remove(path)
    return [f"{path} is neither a file nor a directory, and is left out" for path in strange]


def _require_reachable(backups: Backups, failed: ResticError) -> None:
    """Tell a lost connection from damage, which can be accepted: half a store is not to be taken for all."""
    try:
        backups.require_reachable()
    except ResticError as error:
        raise RestoreError(
            f"the backups cannot be reached, and nothing was changed: {error} (before that: {failed})"
        ) from None


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _MARGIN:
        raise RestoreError(
            f"the snapshot needs {readable(size)} beside the live store, and {readable(free)} are free: "
            "make room, or restore less with `--repository`, or empty the volume if all is lost"
        )


def _write_repository(backups: Backups, snapshot: str, new: Path, repository: str) -> None:
    """Write a repository's links, then the blobs that they name."""
    home = f"{ROOT}/repositories/{repository}"
    backups.restore(snapshot, new, only=[f"{home}/_manifests", f"{home}/_layers"])
    if not Tree(new).has_folder(f"{home}/_manifests"):
        raise RestoreError(f"snapshot {snapshot[:8]} has no repository {repository}")
    links = (*Tree(new).files(f"{home}/_manifests/revisions"), *Tree(new).files(f"{home}/_layers"))
    blobs = sorted({_blob(link) for link in links})
    _require_room(new, backups.size_of(snapshot, blobs))
    for first in range(0, len(blobs), _AT_ONCE):
        backups.restore(snapshot, new, only=blobs[first : first + _AT_ONCE])


def _blob(link: str) -> str:
    algorithm, value = link.split("/")[-3:-1]
    return f"{ROOT}/blobs/{algorithm}/{value[:2]}/{value}"


def _merge(data: Path, new: Path, repository: str) -> None:
    """Add what one repository needs to the live store, then put its manifests and tags in place."""
    tree, home = Tree(data), f"{ROOT}/repositories/{repository}"
    for path in Tree(new).files(f"{ROOT}/blobs"):
        if not _is_good(tree, path):
            tree.move(f"{_NEW}/{path}", path)
    for path in Tree(new).files(f"{home}/_layers"):
        tree.move(f"{_NEW}/{path}", path)
    swap(data, f"{home}/_manifests", new / home / "_manifests")


def _is_good(tree: Tree, blob: str) -> bool:
    """Whether a blob is there and has the content that its name says."""
    *_, algorithm, _, value, _ = blob.split("/")
    try:
        with tree.open(blob) as stream:
            return digest_of(algorithm, stream) == f"{algorithm}:{value}"
    except FileNotFoundError:
        return False


def main(environment: Mapping[str, str]) -> int:
    """Restore what the dispatch asks for; the exit code."""
    try:
        done = restore(
            Backups.of_task(environment),
            Path(environment["STORE"]),
            wanted=environment["NOMAD_META_SNAPSHOT"],
            repository=environment.get("NOMAD_META_REPOSITORY") or None,
            accept_damage=environment.get("NOMAD_META_ACCEPT_DAMAGE") == "true",
            require_freeze=lambda: require_freeze(Nomad.of_task(environment), environment),
        )
    except (BackupError, NomadError, OSError, ResticError, RestoreError, ThawedError, VaultError) as error:
        print(error, file=sys.stderr)
        return 1
    print(done)
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
