"""Whether what the mirrors cache has a place of its own: they remove what they like in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from config.contradictions import NAMESPACE
from config.problems import Problem

if TYPE_CHECKING:
    from config.settings import Settings


def cache_place_problems(settings: "Settings") -> Iterator[Problem]:
    """List what the volume of the caches shares with the images or the backups."""
    if not settings.mirrors.root:
        return
    volume, path, images = settings.cache_volume, settings.cache_path, settings.volume_path
    if settings.on_volume and volume == settings.volume:
        yield _problem("cacheVolume", f"{volume} has the images: give the caches a volume of their own")
    elif settings.on_volume and (path.is_relative_to(images) or images.is_relative_to(path)):
        yield _problem("cachePath", f"{path} and the directory of the images, {images}, are one in the other")
    if volume == settings.backup_volume:
        yield _problem("cacheVolume", f"{volume} has the backups: give the caches a volume of their own")


def _problem(key: str, message: str) -> Problem:
    return Problem(f"{NAMESPACE}:storage.{key}", message)
