"""What the registry's garbage collection stops at.

Tried with distribution 2.8.2 and 3.1.2 (registry/storage/garbagecollect.go).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.tasks.manifest_graph import Graph, reached
from jobs.tasks.store import ROOT, Store, StoreError, layers_of, manifests_of, path_of
from jobs.tasks.upgrade_check import EMPTY, SCHEMA_1, kind_of, tags_by_digest


@dataclass(frozen=True, kw_only=True)
class Collection:
    """How the store is collected."""

    version: str  # of the registry: 2 or 3
    delete_untagged: bool


def obstacles(directory: Path, collection: Collection) -> Iterator[str]:
    """Name each with its repository. Raises OSError.

    What is pushed while the registry runs is never one: it reads a manifest before it takes it.
    """
    store = Store(directory)
    for path in store.tree.strange(ROOT):
        yield f"{directory / path} is neither a file nor a directory"
    for name in store.repositories():
        yield from _links(store, name, collection)
        yield from _manifests(store, name, collection)


def _links(store: Store, name: str, collection: Collection) -> Iterator[str]:
    """Find the links without a digest among those that it reads; only 3.x looks at those of layers."""
    read = [f"{manifests_of(name)}/revisions", *([layers_of(name)] if collection.version == "3" else [])]
    for folder in read:
        for digest in sorted(store.digests(folder)):
            link = f"{folder}/{path_of(digest)}/link"
            if store.tree.has(link) and store.link(link) is None:
                yield f"repository {name}: {store.tree.root / link} {_damage(store, link)}"


def _damage(store: Store, link: str) -> str:
    return "has no digest" if store.tree.status(link).st_size else "is empty"


def _manifests(store: Store, name: str, collection: Collection) -> Iterator[str]:
    """Find what it cannot read among the manifests that it reads: with `delete_untagged` not all."""
    manifests = set(store.manifests(name))
    if collection.delete_untagged:
        try:
            roots = {tag.digest for tag in store.repository(name).tags if tag.digest}
        except StoreError as error:
            yield f"repository {name}: {error}"
            return
        manifests &= reached(Graph(store, manifests), roots)
    kinds = {digest: kind_of(store, digest, collection.version) for digest in sorted(manifests)}
    if collection.version == "2":
        kinds = {digest: kind for digest, kind in kinds.items() if kind != SCHEMA_1}  # it reads them
    tags = tags_by_digest(store, name) if any(kinds.values()) else {}
    for digest, kind in kinds.items():
        if kind:
            what = {SCHEMA_1: "is of schema 1", EMPTY: "is empty"}.get(kind, "is no manifest")
            named = [f"{name}:{tag}" for tag in tags.get(digest, ())]
            yield f"{', '.join(named) or name} ({digest}) {what}"
