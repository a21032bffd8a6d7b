"""The registry's store on its volume, read and pruned without the registry.

Laid out by distribution's filesystem driver (distribution 3.1, registry/storage/paths.go):

    docker/registry/v2/blobs/sha256/HH/HEX/data
    docker/registry/v2/repositories/NAME/_manifests/revisions/sha256/HEX/link
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/current/link       what the tag points at
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/index/sha256/HEX/  what it ever pointed at
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import IO

from jobs.tasks.manifest_reader import LONGEST, Document, is_digest, read
from jobs.tasks.store_size import BLOBS
from jobs.tasks.store_tree import Tree

ROOT = BLOBS.removesuffix("/blobs")
REPOSITORIES = f"{ROOT}/repositories"

# Media types of manifests; a client may leave one out. BuildKit's cache is an index of layers.
_MANIFESTS = {
    "",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
}

_LONGEST_LINK = 256  # bytes; a link has a digest
# References, lest a few manifests fill the memory of a task: of one with more than any image has those count
# that are there, and of all manifests no more than so many are remembered, some 64 MiB.
_MANY, _REMEMBERED = 1000, 500_000


class StoreError(Exception):
    """Something in the store is not as the registry writes it; the message says what and where."""


@dataclass(frozen=True)
class Tag:
    """A name for a manifest."""

    name: str
    digest: str | None  # None: what is left of a tag whose removal was cut off
    pushed: float  # seconds since 1970: the registry writes current/link at each push


@dataclass(frozen=True)
class Repository:
    """What a repository has: tags, and manifests with the time of their push (seconds since 1970)."""

    name: str
    tags: tuple[Tag, ...]
    manifests: Mapping[str, float]


@dataclass(frozen=True)
class Manifest:
    """What a manifest refers to, by digest."""

    blobs: tuple[str, ...]  # configuration and layers; of an index: what it names that is no manifest
    children: tuple[str, ...] = ()  # of an index: its manifests, by the media types that it gives them
    subject: str | None = None  # of a referrer: the manifest that it is about


class Store:
    """One store. Files may come and go while it is read, as the registry writes them."""

    def __init__(self, directory: Path) -> None:
        """Take the registry's `rootdirectory`."""
        self.tree = Tree(directory)
        self._manifests: dict[str, Manifest | None] = {}
        self._remembered = 0  # references of those

    def repositories(self) -> list[str]:
        """Name all repositories, in order."""
        return sorted(self._repositories_below(REPOSITORIES))

    def repository(self, name: str) -> Repository:
        """Read a repository. Raises StoreError if a link in it names no digest."""
        # Tags first: a tag comes after its manifest, so no new one seems to point at nothing.
        tags = tuple(self._tag(name, tag) for tag in self.tags(name))
        return Repository(name, tags, self.manifests(name))

    def tags(self, repository: str) -> list[str]:
        """Name a repository's tags, in order, whatever they point at."""
        return self.tree.folders(f"{manifests_of(repository)}/tags")

    def pointed_at(self, repository: str, tag: str) -> str | None:
        """Give the digest that a tag points at; None if it points at nothing, or at no digest."""
        return self.link(f"{manifests_of(repository)}/tags/{tag}/current/link")

    def link(self, path: str) -> str | None:
        """Read a link, below the registry's `rootdirectory`; None if it is not there or has no digest."""
        try:
            text = self.tree.read(path, _LONGEST_LINK).decode(errors="replace")
        except FileNotFoundError:
            return None
        return intern(text) if is_digest(text) else None

    def manifests(self, repository: str) -> dict[str, float]:
        """Name a repository's manifests, in order, each with the time of its push (seconds since 1970)."""
        revisions, found = f"{manifests_of(repository)}/revisions", {}
        for digest in sorted(self.digests(revisions)):
            # Without its link the registry does not see a manifest either.
            with suppress(FileNotFoundError):
                found[intern(digest)] = self.tree.status(f"{revisions}/{path_of(digest)}/link").st_mtime
        return found

    def manifest(self, digest: str) -> Manifest | None:
        """Read a manifest; None if its blob is not there, or no manifest. Raises OSError."""
        if digest not in self._manifests:
            made = self._read(digest)
            if self._remembered > _REMEMBERED:
                self._manifests.clear()
                self._remembered = 0
            self._manifests[digest] = made
            self._remembered += len(made.blobs) + len(made.children) if made else 0
            return made
        return self._manifests[digest]

    def _read(self, digest: str) -> Manifest | None:
        document = self.document(digest)
        try:
            made = parts_of(document) if document else None
        except ValueError:
            return None
        if made and len(made.blobs) + len(made.children) > _MANY:
            return Manifest(
                tuple(filter(self.has, made.blobs)), tuple(filter(self.has, made.children)), made.subject
            )
        return made

    def document(self, digest: str) -> Document | None:
        """Read all that a manifest says; None if its blob is not there, or no manifest. Raises OSError."""
        try:
            return read(self.text(digest))
        except (FileNotFoundError, ValueError):
            return None

    def text(self, digest: str) -> bytes:
        """Read a manifest's bytes, and of a blob that is longer one too many. Raises FileNotFoundError."""
        return self.tree.read(blob_path(digest), LONGEST)

    def open(self, digest: str) -> IO[bytes]:
        """Open a blob. Raises FileNotFoundError."""
        return self.tree.open(blob_path(digest))

    def status(self, digest: str) -> os.stat_result:
        """Give what the file system knows of a blob. Raises FileNotFoundError."""
        return self.tree.status(blob_path(digest))

    def size(self, digest: str) -> int:
        """Give a blob's bytes on the disk; 0 if it is not there."""
        try:
            return self.status(digest).st_size
        except FileNotFoundError:
            return 0

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there."""
        return self.tree.has(blob_path(digest))

    def kept_as(self, repository: str, blob: str) -> str:
        """Give the digest that a repository's blob has in the store.

        A client may push it by its sha512: the store has it by its sha256, which a link tells.
        """
        if blob.startswith("sha256:"):
            return blob
        return self.link(f"{layers_of(repository)}/{path_of(blob)}/link") or blob

    def aliases(self, repository: str) -> dict[str, str]:
        """Give the layers that were pushed by another digest than the one by which the store has them.

        By that other digest, with the store's own. The link's content tells it (distribution,
        registry/storage/linkedblobstore.go: linkBlob).
        """
        layers, found = layers_of(repository), {}
        for alias in sorted(self.digests(layers)):
            kept = None if alias.startswith("sha256:") else self.link(f"{layers}/{path_of(alias)}/link")
            if kept and kept != alias and self.has(kept):
                found[alias] = kept
        return found

    def own(self, repository: str, alias: str, kept: str) -> None:
        """Keep such a layer by the digest that it was pushed by too. Raises OSError."""
        self.tree.add_link(blob_path(kept), blob_path(alias))
        self.tree.replace(f"{layers_of(repository)}/{path_of(alias)}/link", alias)

    def remove_tag(self, repository: str, tag: str) -> None:
        """Remove a tag, its history too. Raises OSError."""
        self.tree.remove(f"{manifests_of(repository)}/tags/{tag}")

    def remove_manifests(self, repository: str, digests: Sequence[str]) -> None:
        """Take manifests out of a repository, in their order; their blobs stay. Raises OSError."""
        home = manifests_of(repository)
        for tag in self.tags(repository):
            index = f"{home}/tags/{tag}/index"
            for digest in self.digests(index) & set(digests):
                self.tree.remove(f"{index}/{path_of(digest)}")
        for digest in digests:
            self.tree.remove(f"{home}/revisions/{path_of(digest)}")

    def _tag(self, repository: str, tag: str) -> Tag:
        path = f"{manifests_of(repository)}/tags/{tag}/current/link"
        try:
            pushed = self.tree.status(path).st_mtime
        except FileNotFoundError:
            if not self.tree.has_name(path):
                return Tag(tag, None, 0)
            pushed = 0
        digest = self.link(path)
        if digest is None:
            raise StoreError(f"tag {tag} has no digest in {self.tree.root / path}")
        return Tag(tag, digest, pushed)

    def _repositories_below(self, folder: str) -> Iterator[str]:
        waiting = [folder]
        while waiting:
            each = waiting.pop()
            for name in self.tree.folders(each):
                if name == "_manifests":
                    yield each.removeprefix(f"{REPOSITORIES}/")
                elif not name.startswith("_"):  # _layers and _uploads
                    waiting.append(f"{each}/{name}")

    def digests(self, folder: str) -> set[str]:
        """Name the digests below ALGORITHM/HEX."""
        return {
            f"{algorithm}:{value}"
            for algorithm in self.tree.folders(folder)
            for value in self.tree.folders(f"{folder}/{algorithm}")
        }


def parse(text: bytes) -> Manifest:
    """Read a manifest: Docker's (schema 1 and 2), OCI's, an index or a manifest list.

    Raises ValueError if it is none.
    """
    return parts_of(read(text))


def parts_of(document: Document) -> Manifest:
    """Tell what a manifest refers to. Raises ValueError if a field that says so is no such field."""
    fields = document.fields()
    if document.schema_version == 1:
        fields = frozenset({"fslayers"})
    elif fields is None:  # no registry serves it: whatever it names is needed
        fields = frozenset({"config", "layers", "manifests", "blobs", "fslayers"})
    if wrong := sorted(fields & document.mistyped):
        raise ValueError(f"{', '.join(wrong)} has not its type")
    parts = {
        "config": document.config,
        "layers": document.layers,
        "fslayers": document.others,
        "blobs": document.others,
    }
    blobs = [each.digest for name, these in parts.items() if name in fields for each in these]
    named = document.manifests if "manifests" in fields else ()
    blobs += [each.digest for each in named if each.media_type not in _MANIFESTS]
    children = (each.digest for each in named if each.media_type in _MANIFESTS)
    return Manifest(
        blobs=tuple(dict.fromkeys(blobs)),
        children=tuple(dict.fromkeys(children)),
        subject=next((each.digest for each in document.subject), None),
    )


def manifests_of(repository: str) -> str:
    """Say where a repository's manifests and tags are."""
    return f"{REPOSITORIES}/{repository}/_manifests"


def layers_of(repository: str) -> str:
    """Say where a repository has the links of its blobs."""
    return f"{REPOSITORIES}/{repository}/_layers"


def blob_path(digest: str) -> str:
    """Say where a blob is, if it is there."""
    algorithm, _, value = digest.partition(":")
    return f"{BLOBS}/{algorithm}/{value[:2]}/{value}/data"


def path_of(digest: str) -> str:
    """Write a digest as links have it."""
    return digest.replace(":", "/")
