"""Which images of a store are scanned: what the newest tags of each repository point at."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.tasks.manifest_graph import subject_of
from jobs.tasks.store import Repository, Store, StoreError

# Charts, signatures and other artifacts have another (OCI image specification; Docker's schema 2).
_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


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
            for target in _images(store, repository.name, digest, None):
                yield Target(repository=repository.name, tag=name, **target)


def _images(store: Store, repository: str, digest: str, platform: str | None) -> Iterator[dict[str, Any]]:
    """Find the images that a manifest is or has; none in an artifact."""
    manifest = store.manifest(digest)
    if manifest is None:
        yield {"digest": digest, "platform": platform, "problem": "its manifest is not there or damaged"}
        return
    content = json.loads(store.data(digest).read_bytes())
    if manifest.children:
        for child in content["manifests"]:
            # A client may push an index without all of its platforms.
            if child.get("digest") in manifest.children and _is_image(child) and store.size(child["digest"]):
                yield from _images(store, repository, child["digest"], _platform(child))
    elif "fsLayers" in content:
        yield {"digest": digest, "problem": "Trivy reads no images of schema 1"}
    elif _media_type(content.get("config")) in _IMAGE_CONFIGS:
        lost = [blob for blob in manifest.blobs if not store.size(store.kept_as(repository, blob))]
        yield {
            "digest": digest,
            "platform": platform,
            "media_type": content.get("mediaType") or _MANIFEST,
            "problem": f"its blob {lost[0]} is not there" if lost else None,
        }


def _is_image(descriptor: Mapping[str, Any]) -> bool:
    """Tell an image from what buildkit puts beside it about its making, for no platform."""
    return (_platform(descriptor) or "").partition("/")[0] != "unknown"


def _platform(descriptor: Mapping[str, Any]) -> str | None:
    platform = descriptor.get("platform")
    if not isinstance(platform, dict):
        return None
    parts = (platform.get(key) for key in ("os", "architecture", "variant"))
    return "/".join(str(part) for part in parts if part) or None


def _media_type(descriptor: object) -> object:
    return descriptor.get("mediaType") if isinstance(descriptor, dict) else None
