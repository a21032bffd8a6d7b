"""The registry's store on its volume, read and pruned without the registry.

Laid out by distribution's filesystem driver (distribution 3.1, registry/storage/paths.go):

    docker/registry/v2/blobs/sha256/HH/HEX/data
    docker/registry/v2/repositories/NAME/_manifests/revisions/sha256/HEX/link
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/current/link       what the tag points at
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/index/sha256/HEX/  what it ever pointed at
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

# The algorithms that are registered (OCI image specification, descriptor.md), and go-digest's sha384.
_DIGEST = re.compile(r"(sha256|blake3):[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")

_NOATIME = getattr(os, "O_NOATIME", 0)  # of Linux, where the tasks run


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

    blobs: tuple[str, ...]  # configuration and layers
    children: tuple[str, ...] = ()  # of an index: its manifests
    subject: str | None = None  # of a referrer: the manifest that it is about


class Store:
    """One store. Files may come and go while it is read, as the registry writes them."""

    def __init__(self, directory: Path) -> None:
        """Take the registry's `rootdirectory`."""
        root = directory / "docker" / "registry" / "v2"
        self._repositories, self._blobs = root / "repositories", root / "blobs"
        self._manifests: dict[str, Manifest | None] = {}

    def repositories(self) -> list[str]:
        """Name all repositories, in order."""
        return sorted(_repositories_below(self._repositories, ""))

    def repository(self, name: str) -> Repository:
        """Read a repository. Raises StoreError if a link in it names no digest."""
        # Tags first: a tag comes after its manifest, so no new one seems to point at nothing.
        tags = tuple(self._tag(name, tag) for tag in _names(self._home(name) / "tags"))
        return Repository(name, tags, self.manifests(name))

    def manifests(self, repository: str) -> dict[str, float]:
        """Name a repository's manifests, in order, each with the time of its push (seconds since 1970)."""
        revisions, found = self._home(repository) / "revisions", {}
        for digest in sorted(_digests(revisions)):
            # Without its link the registry does not see a manifest either.
            with suppress(FileNotFoundError):
                found[intern(digest)] = (revisions / f"{_path(digest)}/link").stat().st_mtime
        return found

    def manifest(self, digest: str) -> Manifest | None:
        """Read a manifest; None if its blob is not there, or no manifest. Raises OSError."""
        if digest not in self._manifests:
            try:
                self._manifests[digest] = parse(_read(self.data(digest)))
            except (FileNotFoundError, ValueError):
                self._manifests[digest] = None
        return self._manifests[digest]

    def size(self, digest: str) -> int:
        """Give a blob's bytes on the disk; 0 if it is not there."""
        try:
            return self.data(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there."""
        algorithm, _, value = digest.partition(":")
        # Without a Path, which takes longer than the question to the disk.
        return os.path.exists(f"{self._blobs}/{algorithm}/{value[:2]}/{value}/data")  # noqa: PTH110

    def data(self, digest: str) -> Path:
        """Say where a blob is, if it is there."""
        algorithm, _, value = digest.partition(":")
        return self._blobs / f"{algorithm}/{value[:2]}/{value}/data"

    def kept_as(self, repository: str, blob: str) -> str:
        """Give the digest that a repository's blob has in the store.

        A client may push it by its sha512: the store has it by its sha256, which a link tells.
        """
        if blob.startswith("sha256:"):
            return blob
        try:
            link = _read(self._repositories / f"{repository}/_layers/{_path(blob)}/link")
        except FileNotFoundError:
            return blob
        text = link.decode(errors="replace")
        return text if _DIGEST.fullmatch(text) else blob

    def remove_tag(self, repository: str, tag: str) -> None:
        """Remove a tag, its history too. Raises OSError."""
        shutil.rmtree(self._home(repository) / f"tags/{tag}")

    def remove_manifests(self, repository: str, digests: Sequence[str]) -> None:
        """Take manifests out of a repository, in their order; their blobs stay. Raises OSError."""
        home = self._home(repository)
        for tag in _names(home / "tags"):
            index = home / f"tags/{tag}/index"
            for digest in _digests(index) & set(digests):
                shutil.rmtree(index / _path(digest))
        for digest in digests:
            shutil.rmtree(home / "revisions" / _path(digest))

    def _tag(self, repository: str, tag: str) -> Tag:
        link = self._home(repository) / f"tags/{tag}/current/link"
        try:
            text, pushed = _read(link).decode(errors="replace"), link.stat().st_mtime
        except FileNotFoundError:
            return Tag(tag, None, 0)
        if not _DIGEST.fullmatch(text):
            raise StoreError(f"tag {tag} has no digest in {link}")
        return Tag(tag, intern(text), pushed)

    def _home(self, repository: str) -> Path:
        return self._repositories / f"{repository}/_manifests"


def parse(text: bytes) -> Manifest:
    """Read a manifest: Docker's (schema 1 and 2), OCI's, an index or a manifest list.

    Raises ValueError if it is none, or if something that it refers to has no digest.
    """
    return parts_of(loaded(text))


def loaded(text: bytes) -> object:
    """Read JSON that somebody pushed. Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parts_of(content: object) -> Manifest:
    """Tell what a manifest refers to. Raises ValueError as `parse` does."""
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    layers = [_digest(each, "blobSum") for each in _listed(content, "fsLayers")]  # schema 1
    parts = [*_single(content, "config"), *_listed(content, "layers"), *_listed(content, "blobs")]
    return Manifest(
        blobs=(*layers, *map(_digest, parts)),
        children=tuple(_digest(each) for each in _listed(content, "manifests")),
        subject=next((_digest(each) for each in _single(content, "subject")), None),
    )


def _read(path: Path) -> bytes:
    """Read a file and leave its access time: that tells when somebody last pulled an image."""
    with open(path, "rb", opener=_open_unnoticed) as file:
        return file.read()


def _open_unnoticed(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | _NOATIME)
    except PermissionError:  # only a file's owner may
        return os.open(path, flags)


def _single(content: Mapping[str, Any], key: str) -> list[object]:
    return [] if content.get(key) is None else [content[key]]


def _listed(content: Mapping[str, Any], key: str) -> list[object]:
    values = content.get(key)
    if values is None:  # Go writes null for an empty list
        return []
    if not isinstance(values, list):
        raise ValueError(f"{key} is no list")
    return values


def _digest(descriptor: object, key: str = "digest") -> str:
    """Give a descriptor's digest; the same text is kept once in memory, for all manifests."""
    found = descriptor.get(key) if isinstance(descriptor, dict) else None
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise ValueError("something that it refers to has no digest")
    return intern(found)


def _repositories_below(directory: Path, prefix: str) -> Iterator[str]:
    for name in _names(directory):
        if name == "_manifests":
            yield prefix.rstrip("/")
        elif not name.startswith("_"):  # _layers and _uploads
            yield from _repositories_below(directory / name, f"{prefix}{name}/")


def _digests(directory: Path) -> set[str]:
    """Name the digests below ALGORITHM/HEX."""
    return {
        f"{algorithm}:{value}" for algorithm in _names(directory) for value in _names(directory / algorithm)
    }


def _path(digest: str) -> str:
    return digest.replace(":", "/")


def _names(directory: Path) -> list[str]:
    """Name a directory's directories, in order; none if it is not there."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
