"""Whether the volumes have directories of their own: each gets an owner, with all that is inside."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from config.contradictions import NAMESPACE, Written
from config.problems import Problem

# What the system or Docker keeps there is no place for data (Filesystem Hierarchy Standard 3.0). On DSM
# what begins with @ at the top of a disk is its own: /volume1/@docker has all of Docker's data.
_SYSTEM = re.compile(
    r"/(bin|boot|dev|etc|lib|lib32|lib64|libx32|proc|sbin|sys|usr/(?!(local|src)/)[^/]+"
    r"|var/lib/(docker|containerd)|volume\d+/@[^/]+)(/|$)"
)
# Many programs keep their data next to each other there: a volume goes below.
_SHARED = re.compile(r"/var/[^/]+")
_FORM = "write it like /volume1/nomad/volumes/registry_data"


def host_path_problems(written: Written) -> Iterator[Problem]:
    """List the directories that are not the registry's to have, at the key that leads there."""
    storage = written["storage"]
    volumes = [] if storage.get("driver") == "s3" else [("path", "volume", "registry_data")]
    if written["mirrors"]:
        volumes.append(("cachePath", "cacheVolume", "registry_cache"))
    for key, name, default in volumes:
        path = storage.get(key)
        if path is not None:
            yield from _problems(key, path)
            continue
        class_ = storage.get("class", "none")
        above = (storage.get("root", "/volume1/nomad/volumes"), "" if class_ == "none" else class_)
        parts = (*above, storage.get(name) or default)
        if all(isinstance(part, str) for part in parts):
            yield from _problems("root", str(PurePosixPath(*parts)))


def _problems(key: str, path: object) -> Iterator[Problem]:
    if not isinstance(path, str) or not path.startswith("/"):
        return  # the section's own model says so
    place = PurePosixPath("/", *PurePosixPath(path).parts[1:])  # two slashes at the start are one on Linux
    if system := _SYSTEM.match(str(place)):
        message = f"is in {system[0].rstrip('/')}, which is the system's own"
    elif len(place.parts) < 3 or _SHARED.fullmatch(str(place)):
        message = "gets another owner, and is not for the registry alone: it takes a place two levels deep"
    else:
        return
    yield Problem(f"{NAMESPACE}:storage.{key}", f"{str(place)!r} {message}; {_FORM}")
