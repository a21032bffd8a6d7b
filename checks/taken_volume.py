"""Whether another job writes to a volume of the stack's, or another volume is in its directory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from checks.neighbours import neighbours
from checks.servers import Server
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class _Volume:
    """A volume that only the stack may write to; settings are named without their section `storage`."""

    name: str
    name_setting: str
    path: PurePosixPath
    path_setting: str
    content: str
    writer: str  # who must be the only one


def taken_volume_problems(nomad: Server, settings: Settings) -> Iterator[str]:
    """Say with whom the stack would share its data, as far as the token sees it. Raises CheckError."""
    volumes = list(_volumes(settings))
    if not volumes:
        return
    ready = [node for node in nomad.get("/v1/nodes") if node["Status"] == "ready"]
    for volume in volumes:
        homes = [node for node in ready if volume.name in (node["HostVolumes"] or {})]
        yield from _writers(nomad, settings, volume, homes)
        # As long as nobody offers the volume, its directory may be on any machine.
        yield from _other_volumes(settings, volume, homes or ready)


def _volumes(settings: Settings) -> Iterator[_Volume]:
    if settings.on_volume:
        yield _Volume(
            name=settings.volume,
            name_setting="volume",
            path=settings.volume_path,
            path_setting="path",
            content="the images",
            writer="the registry",
        )
    if settings.mirrors.root:
        yield _Volume(
            name=settings.cache_volume,
            name_setting="cacheVolume",
            path=settings.cache_path,
            path_setting="cachePath",
            content="what the mirrors cache",
            writer="the mirrors' job",
        )


def _writers(
    nomad: Server, settings: Settings, volume: _Volume, homes: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    for other in neighbours(nomad, settings, homes):
        # A volume that is registered belongs to one namespace; one of a client's configuration to all.
        shared = settings.storage.kind == "static" or other.namespace == settings.registry.namespace
        if shared and volume.name in other.writes:
            yield (
                f"docker-registry:storage.{volume.name_setting}: {other} writes to the volume {volume.name}, "
                f"and {volume.writer} must be the only writer: set storage.{volume.name_setting} to another "
                "one, or let that job mount it with read_only = true"
            )


def _other_volumes(settings: Settings, volume: _Volume, nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    own, backup = volume.path, settings.backup_volume
    for node in nodes:
        for name, offered in sorted((node["HostVolumes"] or {}).items()):
            # The backups' place has a message of its own (checks/backup_volume.py).
            if name in (volume.name, backup) or offered["ReadOnly"]:
                continue
            path = PurePosixPath(offered["Path"])
            if path.is_relative_to(own):
                where = "that directory" if path == own else f"{path}, inside that directory"
                yield (
                    f"docker-registry:storage: {volume.content} would be in {own}, and {node['Name']} offers "
                    f"{where} as the volume {name}: set storage.{volume.path_setting} to a directory "
                    "of its own"
                )
