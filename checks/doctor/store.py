"""The store on the volume: whole, and the registry's own.

It is read where the directory is on this machine. `python -m ops upgrade-check` has a job read it elsewhere.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, ok
from checks.doctor.volume import directory_here
from checks.errors import CheckError
from jobs.tasks.blob_check import needed
from jobs.tasks.store import Store, StoreError
from jobs.tasks.upgrade_check import still_empty

_STORED = ("data", "link")  # files of the registry's: blobs, and what points at them
_NAMED = 3  # files that are worth naming one by one


def store_owner(facts: Facts) -> Finding:
    """Every file of the store belongs to the registry's user.

    Symptom: Pushes or pulls of some images end with 500, and the registry's log says `permission denied`.

    Cause: Images were restored or copied by root.

    Fix: `chown -R 1000:1000 DIRECTORY`
    """
    directory, owner = _store(facts), facts.settings.storage.owner
    others = _walked(facts).others
    if not others:
        return ok(f"all in {directory} belongs to user {owner.uid}")
    return failure(
        f"{len(others)} in {directory} not of user {owner.uid}, the first is {others[0]}",
        f"chown -R {owner.uid}:{owner.gid} {directory}",
    )


def no_empty_files(facts: Facts) -> Finding:
    """No file of the store is empty.

    Symptom: Pulls of one image fail; the garbage collection stops at it.

    Cause: The machine crashed while 2.x or 3.0 wrote (distribution #4489).

    Fix: remove the file, let the registry forget it (`nomad alloc restart`), and push the image again; with
    backups `python -m ops restore latest --repository NAME`.
    """
    directory = _store(facts)
    paths = still_empty(_walked(facts).empty)
    if not paths:
        return ok(f"no file in {directory} is empty")
    removed = [f"rm {path}" for path in paths[:_NAMED]]
    if len(paths) > _NAMED:
        root = directory / "docker/registry/v2"
        removed = [rf"find {root} \( -name data -o -name link \) -size 0 -not -path '*/_uploads/*' -delete"]
    return failure(
        f"{len(paths)} empty: {_some(map(str, paths))}",
        "\n".join(
            [
                *removed,
                _forget(facts),
                "# then `docker push` these images again: crane skips what the registry lists",
            ]
        ),
    )


def no_dangling_links(facts: Facts) -> Finding:
    """Everything that a tag or an image points at is there.

    Symptom: Pulls of one image fail with `manifest unknown` or `blob unknown`, though its tag is listed.

    Cause: Files of the store were removed by hand or lost with a disk; or a tag's removal was cut off.

    Fix: push the image again, after `nomad alloc restart`; with backups `python -m ops restore latest
    --repository NAME`. What is left of a tag or image that is gone: `rm -r`, as the message prints.
    """
    directory = _store(facts)
    left, broken = _dangling(directory)
    if not left and not broken:
        return ok(f"nothing in {directory} points at what is not there")
    what = [f"{name} points at nothing" for name in left] + broken
    fixes = [f"rm -r {path}" for path in left.values()]
    if broken:
        backup = facts.settings.maintenance.backup
        restored = facts.ops("restore latest --repository NAME") + ", or " if backup else ""
        fixes += [
            _forget(facts),
            f"# then {restored}`docker push` it again (crane skips what the registry lists)",
        ]
    return failure(_some(what), "\n".join(fixes))


CHECKS = (store_owner, no_empty_files, no_dangling_links)


def _store(facts: Facts) -> Path:
    """Give the directory, if it can be read here. Raises CheckError."""
    directory = directory_here(facts)
    if not directory.is_dir():
        raise CheckError(f"{directory} is missing")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise CheckError(f"{directory} may not be read by this user: run this as root, or as its owner")
    return directory


@dataclass
class _Walked:
    """What a walk over the directory met."""

    others: list[str] = field(default_factory=list)  # what is not the registry's user's
    empty: list[Path] = field(default_factory=list)  # blobs and links without content


def _walked(facts: Facts) -> _Walked:
    """Walk over all that is there, once for all checks."""
    return facts.recall("walk", lambda: _walk(_store(facts), facts.settings.storage.owner.uid))


def _walk(directory: Path, user: int) -> _Walked:
    """Look at owners and sizes, however many there are: without a Path for each."""
    found, folders = _Walked(), [str(directory)]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:  # uploads come and go
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_uid != user:
                        found.others.append(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif not status.st_size and entry.name in _STORED and "/_uploads/" not in entry.path:
                        found.empty.append(Path(entry.path))
    return found


def _dangling(directory: Path) -> tuple[dict[str, Path], list[str]]:
    """Find tags and images of which only the name is left, with their paths; and what images lack."""
    store, root = Store(directory), directory / "docker/registry/v2/repositories"
    left: dict[str, Path] = {}
    broken: list[str] = []
    there: dict[str, bool] = {}

    def exists(digest: str) -> bool:
        if digest not in there:
            there[digest] = store.has(digest)
        return there[digest]

    for name in store.repositories():
        home = root / name / "_manifests"
        try:
            repository = store.repository(name)
        except StoreError:
            continue  # a link without a digest is empty, or somebody wrote it
        for tag in repository.tags:
            digest = tag.digest
            if digest is None or digest not in repository.manifests or not exists(digest):
                left[f"tag {name}:{tag.name}"] = home / "tags" / tag.name
        names = {tag.digest: f"{name}:{tag.name}" for tag in reversed(repository.tags)}
        for digest in repository.manifests:
            if not exists(digest):
                left[f"{name}@{digest}"] = home / "revisions" / digest.replace(":", "/")
                continue
            need = needed(store.text(digest))
            missing = [
                *(blob for blob in need.blobs if not exists(store.kept_as(name, blob))),
                *(child for child in need.children if child in repository.manifests and not exists(child)),
            ]
            if missing:
                broken.append(f"{names.get(digest, f'{name}@{digest}')} lacks {missing[0]}")
    return left, broken


def _forget(facts: Facts) -> str:
    """Restart the registry, which remembers what it had."""
    allocation = facts.allocation()
    return facts.nomad("alloc restart", allocation["ID"]) if allocation else facts.up


def _some(texts: Iterable[str]) -> str:
    """Name the first of many."""
    named = list(texts)
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
