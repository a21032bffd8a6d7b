"""What the registry's garbage collection stops at, and what it would remove although an image needs it.

Tried with distribution 2.8.2 and 3.1.2 (registry/storage/garbagecollect.go).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.tasks.manifest_graph import reached
from jobs.tasks.store import Store, StoreError
from jobs.tasks.upgrade_check import EMPTY, SCHEMA_1, is_empty, kind_of, tags_of


@dataclass(frozen=True, kw_only=True)
class Collection:
    """How the store is collected."""

    version: str  # of the registry: 2 or 3
    delete_untagged: bool


def obstacles(directory: Path, collection: Collection) -> Iterator[str]:
    """Name each with its repository. Raises OSError."""
    store = Store(directory)
    for name in store.repositories():
        home = directory / "docker/registry/v2/repositories" / name
        yield from _links(home, name, collection)
        yield from _manifests(store, home, name, collection)
        yield from _aliases(store, home, name)


def _links(home: Path, name: str, collection: Collection) -> Iterator[str]:
    """Find the links without content among those that it reads; only 3.x looks at those of layers."""
    read = ["_manifests/revisions", *(["_layers"] if collection.version == "3" else [])]
    for folder in read:
        for link in sorted((home / folder).glob("*/*/link")):
            if is_empty(link):
                yield f"repository {name}: {link} is empty"


def _manifests(store: Store, home: Path, name: str, collection: Collection) -> Iterator[str]:
    """Find what it cannot read among the manifests that it reads: with `delete_untagged` not all."""
    manifests = store.manifests(name)
    roots = set(manifests)
    if collection.delete_untagged:
        try:
            roots = {tag.digest for tag in store.repository(name).tags if tag.digest}
        except StoreError as error:
            yield f"repository {name}: {error}"
            return
    refers = {digest: set(_references(store, digest)) for digest in manifests}
    for digest in sorted(reached(refers, roots) & set(manifests)):
        kind = kind_of(store.data(digest))
        if kind == SCHEMA_1 and collection.version == "2":
            continue  # 2.x reads it
        if kind:
            what = {SCHEMA_1: "is of schema 1", EMPTY: "is empty"}.get(kind, "is no manifest")
            yield f"{_image(home, name, digest)} {what}"


def _aliases(store: Store, home: Path, name: str) -> Iterator[str]:
    """Find layers that were pushed by another digest than their sha256.

    The registry keeps the blob by its sha256 and remembers the other name as a link; the collection marks
    the other name, and removes the blob. 3.x also fails when it removes the link of such a blob twice.
    """
    kinds = [each for each in sorted((home / "_layers").glob("*")) if each.name != "sha256"]
    aliases = {f"{kind.name}:{link.parent.name}" for kind in kinds for link in kind.glob("*/link")}
    if aliases:
        images = [
            _image(home, name, digest)
            for digest in store.manifests(name)
            if aliases.intersection(_references(store, digest))
        ]
        what = f"which {', '.join(images)} would lose" if images else "which no image needs"
        names = ", ".join(kind.name for kind in kinds)
        yield f"repository {name} has layers that were pushed by their {names}, {what}"


def _references(store: Store, digest: str) -> tuple[str, ...]:
    manifest = store.manifest(digest)
    return (*manifest.blobs, *manifest.children) if manifest else ()


def _image(home: Path, name: str, digest: str) -> str:
    tags = [f"{name}:{tag}" for tag in tags_of(home, digest)]
    return f"{', '.join(tags) or name} ({digest})"
