"""Which images of a store are scanned: what the newest tags of each repository point at."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.tasks.manifest_graph import subject_of
from jobs.tasks.manifest_reader import Descriptor, Document
from jobs.tasks.store import Manifest, Repository, Store, StoreError

# Charts, signatures and other artifacts have another (OCI image specification; Docker's schema 2).
_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# Of one tag. Docker's official images have some 20 platforms, and a provenance with each; an index within an
# index is rare. Anybody may push indexes of thousands, which name each other.
_MOST, _DEEPEST = 100, 3
_LONGEST = 50  # characters of each part of a platform


@dataclass(frozen=True, kw_only=True)
class Target:
    """An image by the tag that leads to it; of a multi-arch image that of one platform."""

    repository: str
    tag: str
    digest: str | None = None
    platform: str | None = None  # as linux/arm64
    media_type: str = ""  # of the manifest
    problem: str | None = None  # why it cannot be scanned


def targets(store: Store, newest: int) -> Iterator[Target]:
    """Go through the `newest` tags of each repository, by time of push. Raises OSError."""
    for name in store.repositories():
        try:
            found = store.repository(name)
        except StoreError as error:
            yield Target(repository=name, tag="", problem=str(error))
            continue
        yield from _of_repository(store, found, newest)


def _of_repository(store: Store, repository: Repository, newest: int) -> Iterator[Target]:
    tags = [(tag.pushed, tag.name, tag.digest) for tag in repository.tags if not subject_of(tag.name)]
    for _, name, digest in sorted(tags, key=lambda tag: tag[:2], reverse=True)[:newest]:
        if digest:  # else it is being removed
            for target in _images(store, repository, digest):
                yield Target(repository=repository.name, tag=name, **target)


def _images(store: Store, repository: Repository, tagged: str) -> Iterator[dict[str, Any]]:
    """Find the images that a manifest is or has, each once; none in an artifact. Say what is left out."""
    waiting, seen, cut = deque[tuple[str, str | None, int]]([(tagged, None, 0)]), {tagged}, set[str]()
    while waiting:
        digest, platform, depth = waiting.popleft()
        manifest, document = store.manifest(digest), store.document(digest)
        if manifest is None or document is None:
            problem = "its manifest is not there or damaged"
            yield {"digest": digest, "platform": platform, "problem": problem}
            continue
        yield from _image(store, repository.name, manifest, document, digest=digest, platform=platform)
        # What an index calls a layer may be an image all the same, which somebody hides.
        children = {*manifest.children, *(blob for blob in manifest.blobs if blob in repository.manifests)}
        for child in document.manifests:
            named = child.digest
            # A client may push an index without all of its platforms.
            if named in seen or named not in children or not _is_image(child) or not store.size(named):
                continue
            if depth == _DEEPEST:
                cut.add(f"its indexes are more than {_DEEPEST} deep: what is below is not scanned")
            elif len(seen) == _MOST:
                cut.add(f"it has more than {_MOST} manifests: the others are not scanned")
                break
            else:
                seen.add(named)
                waiting.append((named, _platform(child), depth + 1))
    yield from ({"digest": tagged, "problem": problem} for problem in sorted(cut))


def _image(
    store: Store, repository: str, manifest: Manifest, document: Document, **told: str | None
) -> Iterator[dict[str, Any]]:
    """Describe an image, and whether it can be scanned; nothing of an index or an artifact."""
    if document.schema_version == 1:
        yield {**told, "problem": "Trivy reads no images of schema 1"}
    elif any(each.media_type in _IMAGE_CONFIGS for each in document.config if each.digest in manifest.blobs):
        lost = [blob for blob in manifest.blobs if not store.size(store.kept_as(repository, blob))]
        yield {
            **told,
            "media_type": document.media_type or _MANIFEST,
            "problem": f"its blob {lost[0]} is not there" if lost else None,
        }


def _is_image(descriptor: Descriptor) -> bool:
    """Tell an image from what buildkit puts beside it about its making, for no platform."""
    return (_platform(descriptor) or "").partition("/")[0] != "unknown"


def _platform(descriptor: Descriptor) -> str | None:
    return "/".join(part[:_LONGEST] for part in descriptor.platform or () if part) or None
