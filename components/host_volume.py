"""The directory on the NAS that keeps the images, offered to Nomad as a host volume."""

import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Self

import pulumi
import pulumi_command as command
import pulumi_nomad as nomad

from components.ssh import connection
from config.sections.host import Host
from config.sections.storage import Owner
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class HostVolumeArgs:
    """What a host volume is made of."""

    volume: str  # name that jobs ask for
    path: PurePosixPath  # directory on the host
    owner: Owner  # uid, gid and mode of the directory
    host: Host | None  # the NAS over SSH, or this machine
    node_id: str | None  # Nomad's node with the directory, for a dynamic volume
    namespace: str  # Nomad namespace of a dynamic volume

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from a stack's settings."""
        storage = settings.storage
        return cls(
            volume=settings.volume,
            path=settings.volume_path,
            owner=storage.owner,
            host=storage.host,
            node_id=storage.node_id,
            namespace=settings.registry.namespace,
        )

    @classmethod
    def cache(cls, settings: Settings) -> Self:
        """Take those of the volume with what the mirrors cache."""
        return replace(cls.of(settings), volume=settings.cache_volume, path=settings.cache_path)


class HostVolume(pulumi.ComponentResource):
    """Creates the directory with its owner and mode and, for a dynamic volume, registers it with Nomad.

    Produces: a command (local or remote); with `node_id` a DynamicHostVolumeRegistration, which
    unlike a DynamicHostVolume keeps the data when it is deleted.
    Destroying it leaves the directory and its data in place: the command has no `delete`.
    """

    source: pulumi.Output[str]
    """What a job's `volume.source` takes; known at preview."""

    def __init__(self, name: str, args: HostVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:HostVolume", name, None, opts)
        directory = self._directory(name, args)
        # `create` passes its input through: the source waits for the directory and is known at preview.
        self.source = directory.create.apply(lambda _: args.volume)
        if args.node_id:
            registration = nomad.DynamicHostVolumeRegistration(
                f"{name}-registration",
                name=args.volume,
                namespace=args.namespace,
                node_id=args.node_id,
                host_path=str(args.path),
                capabilities=[{"access_mode": "single-node-writer", "attachment_mode": "file-system"}],
                opts=pulumi.ResourceOptions(parent=self, depends_on=[directory]),
            )
            self.source = registration.name
        self.register_outputs({"source": self.source})

    def _directory(self, name: str, args: HostVolumeArgs) -> command.local.Command | command.remote.Command:
        create = directory_script(args.path, args.owner)
        opts = pulumi.ResourceOptions(parent=self)
        if args.host is None:
            return command.local.Command(f"{name}-directory", create=create, opts=opts)
        return command.remote.Command(
            f"{name}-directory", connection=connection(args.host), create=create, opts=opts
        )


def directory_script(path: PurePosixPath, owner: Owner) -> str:
    """Write the script that makes the directory: the same however often it runs (POSIX sh, DSM's too).

    Everything inside is handed over only when the owner really changes: that walk is slow on a big store.
    """
    directory, user = shlex.quote(str(path)), f"{owner.uid}:{owner.gid}"
    return (
        f"set -eu\n"
        f"mkdir -p {directory}\n"
        f'[ "$(stat -c %u:%g {directory})" = {user} ] || chown -R {user} {directory}\n'
        f"chmod {owner.mode} {directory}\n"
    )
