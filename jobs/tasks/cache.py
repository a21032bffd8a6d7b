"""The store of a pull-through cache whose registry does not run.

When an image was last used, as measured with distribution 3.1.2 and 2.8.2: each pull by tag, a HEAD too, asks
the upstream and writes the tag's `current/link` anew, so that its time of change is exact on every mount. A
pull by digest, or while the upstream is away, only reads the links: their access times tell it, to the day
with `relatime`. Reads of layers are not heeded: images share them.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from jobs.tasks.eviction_plan import Eviction, Image
from jobs.tasks.store import Store, StoreError


class Cache(Store):
    """The cache below the registry's `rootdirectory`."""

    def images(self, *, access_times: bool) -> Iterator[Image]:
        """Read all images; `access_times` tells whether they are to be heeded. Raises OSError."""
        for repository in self.repositories():
            tags: dict[str, list[str]] = {}
            for tag, digest in self._tags(repository):
                if digest:
                    tags.setdefault(digest, []).append(tag)
            for digest in self.manifests(repository):
                yield self._image(repository, digest, tags.get(digest, ()), access_times)

    def remove(self, eviction: Eviction, images: Iterable[Image]) -> None:
        """Take what goes out of the cache, of whose `images` the others stay. Raises OSError.

        Blobs go last: cut off, it leaves blobs of no image, and never an image without its blobs or parts.
        With the upstream away the registry would serve such a manifest, and fail at its blobs.
        """
        gone, staying = _by_repository(eviction.images), _by_repository(set(images) - set(eviction.images))
        for repository in self.repositories():
            self._prune(repository, gone.get(repository, []), staying.get(repository, []))
            if repository not in staying:
                self._remove_rest(repository)
        for blob in eviction.blobs:
            shutil.rmtree(self.data(blob).parent)

    def remove_unfinished(self) -> None:
        """Remove what a registry that was killed had begun to store. Raises OSError."""
        for repository in self.repositories():
            _remove(self._home(repository).with_name("_uploads"))

    def has_manifest(self, repository: str, digest: str) -> bool:
        """Tell whether a manifest is in a repository."""
        return self._manifest_link(repository, digest).exists()

    def has_layer(self, repository: str, digest: str) -> bool:
        """Tell whether a repository has a blob that is no manifest."""
        return (self._layers(repository) / _path(digest) / "link").exists() and self.data(digest).exists()

    def _image(self, repository: str, digest: str, tags: Sequence[str], access_times: bool) -> Image:
        manifest = self.manifest(digest)
        if manifest is None:  # the registry cannot serve it either: it asks the upstream
            return Image(
                repository=repository, digest=digest, tags=tuple(tags), used=0, blobs=frozenset([digest])
            )
        links = [self._manifest_link(repository, digest), *(self._tag_link(repository, tag) for tag in tags)]
        return Image(
            repository=repository,
            digest=digest,
            tags=tuple(tags),
            used=max(_used(link, access_times) for link in links),
            blobs=frozenset([digest, *manifest.blobs]),
            children=frozenset(manifest.children),
        )

    def _prune(self, repository: str, gone: Sequence[Image], staying: Sequence[Image]) -> None:
        digests = {image.digest for image in staying}
        for tag, digest in self._tags(repository):
            if digest not in digests:
                self.remove_tag(repository, tag)
        self.remove_manifests(repository, [image.digest for image in gone])
        needed = {blob for image in staying for blob in image.blobs}
        for algorithm in _folders(self._layers(repository)):
            for layer in _folders(algorithm):
                if f"{algorithm.name}:{layer.name}" not in needed:
                    shutil.rmtree(layer)

    def _remove_rest(self, repository: str) -> None:
        home = self._home(repository)
        _remove(self._layers(repository))
        _remove(home)  # last: it is what tells that there is a repository
        with suppress(OSError):  # there is another one below it, or beside it
            for folder in home.relative_to(self._repositories).parents[:-1]:
                (self._repositories / folder).rmdir()

    def _tags(self, repository: str) -> Iterator[tuple[str, str | None]]:
        """Give a repository's tags and what they point at, if that can be read."""
        for folder in _folders(self._home(repository) / "tags"):
            try:
                yield folder.name, self._tag(repository, folder.name).digest
            except StoreError:
                yield folder.name, None

    def _manifest_link(self, repository: str, digest: str) -> Path:
        return self._home(repository) / "revisions" / _path(digest) / "link"

    def _tag_link(self, repository: str, tag: str) -> Path:
        return self._home(repository) / "tags" / tag / "current" / "link"

    def _layers(self, repository: str) -> Path:
        return self._home(repository).with_name("_layers")


def _by_repository(images: Iterable[Image]) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = {}
    for image in images:
        found.setdefault(image.repository, []).append(image)
    return found


def _used(link: Path, access_times: bool) -> float:
    found = link.stat()
    return max(found.st_mtime, found.st_atime) if access_times else found.st_mtime


def _folders(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _remove(directory: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _path(digest: str) -> str:
    return digest.replace(":", "/")
