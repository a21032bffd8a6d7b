"""Which images leave a cache that is too big: the least recently used, until the rest is small enough."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush


@dataclass(frozen=True, kw_only=True)
class Image:
    """A manifest in a repository of the cache."""

    repository: str
    digest: str
    tags: tuple[str, ...]
    used: float  # seconds since 1970
    blobs: frozenset[str]  # itself, its configuration and layers, by digest
    children: frozenset[str] = frozenset()  # of an index: its manifests

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.repository}:{','.join(self.tags)}" if self.tags else f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Eviction:
    """What goes: images, least recently used first, and the blobs that none of the others needs."""

    images: tuple[Image, ...]
    blobs: tuple[str, ...]


def evict(images: Sequence[Image], sizes: Mapping[str, int], target: int) -> Eviction:
    """Choose what goes so that the rest of the blobs, given with their sizes, has at most `target` bytes.

    Blobs of no image go first. A part of a multi-arch image goes after all that name it, so that none is left
    with a part missing: it counts as used when they were.
    """
    users = Counter(blob for image in images for blob in image.blobs)
    blobs = [blob for blob in sizes if not users[blob]]
    left = sum(sizes.values()) - sum(sizes[blob] for blob in blobs)
    by_place = {(image.repository, image.digest): image for image in images}
    parents = Counter((image.repository, child) for image in images for child in image.children)
    waiting = [(image.used, *place) for place, image in by_place.items() if not parents[place]]
    heapify(waiting)
    gone: list[Image] = []
    while left > target and waiting:
        _, *place = heappop(waiting)
        image = by_place[place[0], place[1]]
        gone.append(image)
        users.subtract(image.blobs)
        freed = [blob for blob in image.blobs if not users[blob] and blob in sizes]
        blobs += freed
        left -= sum(sizes[blob] for blob in freed)
        for child in image.children:
            parents[image.repository, child] -= 1
            if not parents[image.repository, child] and (found := by_place.get((image.repository, child))):
                heappush(waiting, (found.used, found.repository, found.digest))
    return Eviction(tuple(gone), tuple(blobs))
