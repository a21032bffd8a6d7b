"""Sees to it that the registry's garbage collection gets through the store, or says what it would stop at.

The collection stops where a directory is missing that the registry only makes when it needs it: `_layers` of
a repository that has only an empty index, or everything in a new store. 2.x does worse: it removes the images
of a repository without `_layers`. Before a run they are made.

Nor does it know layers that were pushed by another digest than their sha256. The registry keeps them by their
sha256, and remembers the other name as a link; the collection goes by the name in the manifest, and removes
the layer. 3.x then stops, at the second of its links. Before a run such a layer gets the other name in the
store as well, to which the link then points: all versions read that. (Tried with 2.8.2 and 3.1.2;
distribution, registry/storage/garbagecollect.go.)

A dry run is not to change the store: it gets a shadow of it, a directory of links, with all that beside them.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from jobs.tasks.collection_obstacles import Collection, obstacles
from jobs.tasks.frozen import wait_until_frozen
from jobs.tasks.store import REPOSITORIES, ROOT, Store, blob_path, layers_of, path_of
from jobs.tasks.store_size import BLOBS

_ADVICE = 'docs/operations.md, "Mending the store", says what to do'


class ObstacleError(Exception):
    """The collection would stop, or remove too much; the message says at what."""


def run(environment: Mapping[str, str]) -> None:
    """Prepare the run, or the dry run that SHADOW is for. Raises ObstacleError, OSError."""
    store, shadow = Path(environment["STORE"]), environment.get("SHADOW")
    if not shadow:
        wait_until_frozen(environment)
    require_clear(environment)
    whole = Store(store)
    missing = [*missing_directories(whole)]
    aliases = [(name, *alias) for name in whole.repositories() for alias in whole.aliases(name).items()]
    if shadow:
        for path in missing:
            print(f"a run makes the missing directory {path.removeprefix(ROOT + '/')}")
        lay_shadow(store, Path(shadow), additions(store, missing, aliases))
        return
    for path in missing:
        whole.tree.make(path)
        print(f"made the missing directory {path.removeprefix(ROOT + '/')}")
    for name, alias, kept in aliases:
        whole.own(name, alias, kept)
    if aliases:
        os.sync()  # the collection removes the other name


def require_clear(environment: Mapping[str, str]) -> None:
    """Raise ObstacleError if there is something that the collection would stop at; OSError."""
    collection = Collection(
        version=environment["VERSION"], delete_untagged=environment["DELETE_UNTAGGED"] == "true"
    )
    if found := [*obstacles(Path(environment["STORE"]), collection)]:
        raise ObstacleError(
            "\n".join(
                ["the garbage collection is not begun, because of what is in the store:", *found, _ADVICE]
            )
        )


def missing_directories(store: Store) -> Iterator[str]:
    """Name what the collection misses, by its path in the store. Raises OSError."""
    needed = (BLOBS, REPOSITORIES, *map(layers_of, store.repositories()))
    return (path for path in needed if not store.tree.has_folder(path))


def additions(
    store: Path, missing: list[str], aliases: list[tuple[str, str, str]]
) -> dict[tuple[str, ...], Path | str | None]:
    """Say what a shadow has beside the store's: a directory (None), a file's link, or a file with a text."""
    added: dict[str, Path | str | None] = dict.fromkeys(missing)
    for name, alias, kept in aliases:
        added[blob_path(alias)] = store / blob_path(kept)
        added[f"{layers_of(name)}/{path_of(alias)}/link"] = alias
    return {tuple(path.split("/")): what for path, what in added.items()}


def lay_shadow(source: Path, shadow: Path, added: Mapping[tuple[str, ...], Path | str | None]) -> None:
    """Lay a shadow of a directory, with what is added to it. Raises OSError."""
    what = added.get((), source)
    if isinstance(what, str):
        shadow.write_text(what)
    elif not added or isinstance(added.get(()), Path):
        shadow.symlink_to(what or source)
    else:
        shadow.mkdir()
        for name in {path[0] for path in added if path} | _names(source):
            inner = {path[1:]: each for path, each in added.items() if path and path[0] == name}
            lay_shadow(source / name, shadow / name, inner)


def _names(directory: Path) -> set[str]:
    is_folder = directory.is_dir() and not directory.is_symlink()
    return {entry.name for entry in directory.iterdir()} if is_folder else set()


def main(environment: Mapping[str, str]) -> int:
    """Run; the exit code."""
    try:
        run(environment)
    except (ObstacleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
