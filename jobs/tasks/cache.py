"""The store of a pull-through cache whose registry does not run.

When an image was last used, as measured with distribution 3.1.2 and 2.8.2: each pull by tag, a HEAD too, asks
the upstream and writes the tag's `current/link` anew, so that its time of change is exact on every mount. A
pull by digest, or while the upstream is away, only reads the links: their access times tell it, to the day
with `relatime`. Reads of layers are not heeded: images share them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from jobs.tasks.eviction_plan import Eviction, Image
from jobs.tasks.store import (
    REPOSITORIES,
    Store,
    blob_path,
    layers_of,
    manifests_of,
    path_of,
)


class Cache(Store):
    """The cache below the registry's `rootdirectory`."""

    def images(self, *, access_times: bool) -> Iterator[Image]:
        """Read all images; `access_times` tells whether they are to be heeded. Raises OSError."""
        for repository in self.repositories():
            tags: dict[str, list[str]] = {}
            for tag in self.tags(repository):
                if digest := self.pointed_at(repository, tag):
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
            self.tree.remove(blob_path(blob).removesuffix("/data"))

    def remove_unfinished(self) -> None:
        """Remove what a registry that was killed had begun to store. Raises OSError."""
        for repository in self.repositories():
            self._remove_folder(f"{REPOSITORIES}/{repository}/_uploads")

    def has_manifest(self, repository: str, digest: str) -> bool:
        """Tell whether a manifest is in a repository."""
        return self.tree.has(_manifest_link(repository, digest))

    def has_layer(self, repository: str, digest: str) -> bool:
        """Tell whether a repository has a blob that is no manifest."""
        return self.tree.has(f"{layers_of(repository)}/{path_of(digest)}/link") and self.has(digest)

    def _image(self, repository: str, digest: str, tags: Sequence[str], access_times: bool) -> Image:
        manifest = self.manifest(digest)
        if manifest is None:  # the registry cannot serve it either: it asks the upstream
            return Image(
                repository=repository, digest=digest, tags=tuple(tags), used=0, blobs=frozenset([digest])
            )
        links = [
            _manifest_link(repository, digest),
            *(f"{manifests_of(repository)}/tags/{tag}/current/link" for tag in tags),
        ]
        return Image(
            repository=repository,
            digest=digest,
            tags=tuple(tags),
            used=max(self._used(link, access_times) for link in links),
            blobs=frozenset([digest, *manifest.blobs]),
            children=frozenset(manifest.children),
        )

    def _prune(self, repository: str, gone: Sequence[Image], staying: Sequence[Image]) -> None:
        digests = {image.digest for image in staying}
        for tag in self.tags(repository):
            if self.pointed_at(repository, tag) not in digests:
                self.remove_tag(repository, tag)
        self.remove_manifests(repository, [image.digest for image in gone])
        needed = {blob for image in staying for blob in image.blobs}
        layers = layers_of(repository)
        for digest in self.digests(layers) - needed:
            self.tree.remove(f"{layers}/{path_of(digest)}")

    def _remove_rest(self, repository: str) -> None:
        self._remove_folder(layers_of(repository))
        self._remove_folder(manifests_of(repository))  # last: it is what tells that there is a repository
        folder = repository
        while folder and self.tree.remove_empty(f"{REPOSITORIES}/{folder}"):  # else another one is in it
            folder = folder.rpartition("/")[0]

    def _remove_folder(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.tree.remove(path)

    def _used(self, link: str, access_times: bool) -> float:
        found = self.tree.status(link)
        return max(found.st_mtime, found.st_atime) if access_times else found.st_mtime


def _by_repository(images: Iterable[Image]) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = {}
    for image in images:
        found.setdefault(image.repository, []).append(image)
    return found


def _manifest_link(repository: str, digest: str) -> str:
    return f"{manifests_of(repository)}/revisions/{path_of(digest)}/link"
