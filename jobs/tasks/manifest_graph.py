"""Which manifests of a repository belong together: they stay together, or go together."""

import re
from collections.abc import Collection, Iterable, Mapping

from jobs.tasks.store import Repository, Store

# Tags of signatures, SBOMs and the like (OCI distribution specification, "Referrers tag schema"; cosign,
# regclient and others put something behind it).
_REFERRERS_TAG = re.compile(r"sha256-([0-9a-f]{64})(\.[A-Za-z0-9_.-]+)?")

Graph = Mapping[str, Collection[str]]  # from a manifest to those that stay if it stays, by digest


def subject_of(tag: str) -> str | None:
    """Name the manifest that a tag of referrers is about; None for any other tag."""
    found = _REFERRERS_TAG.fullmatch(tag)
    return f"sha256:{found[1]}" if found else None


def belonging(store: Store, repository: Repository) -> Graph:
    """Draw the graph: an index needs its children, a referrer its subject, a subject its referrers.

    A child counts by whatever media type the index gives it: the registry's own collection follows all that
    the repository has as manifests (distribution, garbagecollect.go).
    """
    graph: dict[str, set[str]] = {}
    for digest in repository.manifests:
        manifest = store.manifest(digest)
        if manifest is None:
            continue
        named = (blob for blob in manifest.blobs if blob in repository.manifests)
        graph.setdefault(digest, set()).update(manifest.children, named)
        if manifest.subject:
            graph[digest].add(manifest.subject)
            graph.setdefault(manifest.subject, set()).add(digest)
    for tag in repository.tags:
        if tag.digest and (subject := subject_of(tag.name)):
            graph.setdefault(subject, set()).add(tag.digest)
    return graph


def reached(graph: Graph, roots: Iterable[str]) -> set[str]:
    """Follow the graph from some manifests; with those themselves, and with digests that are not there."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += graph.get(digest, ())
    return found
