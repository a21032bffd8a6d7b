"""Sees to it that the registry's garbage collection gets through the store, or says what it would stop at.

The collection stops where a directory is missing that the registry only makes when it needs it: `_layers` of
a repository that has only an empty index, or everything in a new store. 2.x does worse: it removes the images
of a repository without `_layers`. Before a run they are made. A dry run is not to change the store: it gets a
shadow of it, a directory of links, with those directories beside the links.
"""

import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jobs.tasks.collection_obstacles import Collection, obstacles
from jobs.tasks.frozen import wait_until_frozen
from jobs.tasks.store import Store

_ROOT = ("docker", "registry", "v2")
_ADVICE = 'docs/operations.md, "Mending the store", says what to do'


class ObstacleError(Exception):
    """The collection would stop, or remove too much; the message says at what."""


def run(environment: Mapping[str, str]) -> None:
    """Prepare the run, or the dry run that SHADOW is for. Raises ObstacleError, OSError."""
    store, shadow = Path(environment["STORE"]), environment.get("SHADOW")
    if not shadow:
        wait_until_frozen(environment)
    collection = Collection(
        version=environment["VERSION"], delete_untagged=environment["DELETE_UNTAGGED"] == "true"
    )
    if found := [*obstacles(store, collection)]:
        raise ObstacleError(
            "\n".join(
                ["the garbage collection is not begun, because of what is in the store:", *found, _ADVICE]
            )
        )
    missing = missing_directories(store)
    for parts in missing:
        name = "/".join(parts[len(_ROOT) :])
        if not shadow:
            store.joinpath(*parts).mkdir(parents=True)
        print(f"{'a run makes' if shadow else 'made'} the missing directory {name}")
    if shadow:
        lay_shadow(store, Path(shadow), missing)


def missing_directories(store: Path) -> list[tuple[str, ...]]:
    """Name what the collection misses, by its path in the store. Raises OSError."""
    layers = (("repositories", *name.split("/"), "_layers") for name in Store(store).repositories())
    needed = [("blobs",), ("repositories",), *layers]
    return [(*_ROOT, *each) for each in needed if not store.joinpath(*_ROOT, *each).is_dir()]


def lay_shadow(source: Path, shadow: Path, missing: Iterable[Sequence[str]]) -> None:
    """Lay a shadow of a directory, in which those below it that are missing are there. Raises OSError."""
    wanted = list(missing)
    if not wanted:
        shadow.symlink_to(source)
        return
    shadow.mkdir()
    names = {each[0] for each in wanted if each}
    for name in names | ({entry.name for entry in source.iterdir()} if source.is_dir() else set()):
        lay_shadow(source / name, shadow / name, [each[1:] for each in wanted if each and each[0] == name])


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
