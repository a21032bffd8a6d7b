"""Which manifests of a repository belong together: they stay together, or go together."""

import re
from collections.abc import Container, Iterable, Iterator

from jobs.tasks.store import Repository, Store

# Tags of signatures, SBOMs and the like (OCI distribution specification, "Referrers tag schema"; cosign,
# regclient and others put something behind it).
_REFERRERS_TAG = re.compile(r"sha256-([0-9a-f]{64})(\.[A-Za-z0-9_.-]+)?")


class Graph:
    """From a manifest to those that stay if it stays, by digest."""

    def __init__(self, store: Store, manifests: Container[str]) -> None:
        """Take a repository's manifests; what each names is read when it is asked for, and not kept."""
        self._store, self._manifests, self._more = store, manifests, dict[str, set[str]]()

    def add(self, digest: str, belonging: str) -> None:
        """Add that one stays if another one stays."""
        self._more.setdefault(digest, set()).add(belonging)

    def after(self, digest: str) -> Iterator[str]:
        """Give those that stay if this one stays."""
        manifest = self._store.manifest(digest) if digest in self._manifests else None
        if manifest:
            yield from (each for each in (*manifest.blobs, *manifest.children) if each in self._manifests)
        yield from self._more.get(digest, ())


def subject_of(tag: str) -> str | None:
    """Name the manifest that a tag of referrers is about; None for any other tag."""
    found = _REFERRERS_TAG.fullmatch(tag)
    return f"sha256:{found[1]}" if found else None


def belonging(store: Store, repository: Repository) -> Graph:
    """Draw the graph: an index needs its children, a referrer its subject, a subject its referrers.

    A child counts by whatever media type the index gives it: the registry's own collection follows all that
    the repository has as manifests (distribution, garbagecollect.go).
    """
    graph = Graph(store, repository.manifests)
    for digest in repository.manifests:
        manifest = store.manifest(digest)
        if manifest and manifest.subject:
            graph.add(digest, manifest.subject)
            graph.add(manifest.subject, digest)
    for tag in repository.tags:
        if tag.digest and (subject := subject_of(tag.name)):
            graph.add(subject, tag.digest)
    return graph


def reached(graph: Graph, roots: Iterable[str]) -> set[str]:
    """Follow the graph from some manifests; with those themselves, and with digests that are not there."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += graph.after(digest)
    return found
