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
from jobs.tasks.store import ROOT


@dataclass(frozen=True, kw_only=True)
class HostVolumeArgs:
    """What a host volume is made of."""

    volume: str  # name that jobs ask for
    path: PurePosixPath  # directory on the host
    owner: Owner  # uid, gid and mode of the directory
    host: Host | None  # the NAS over SSH, or this machine
    node_id: str | None  # Nomad's node with the directory, for a dynamic volume
    namespace: str  # Nomad namespace of a dynamic volume
    setting: str  # key of the stack that chooses the directory
    store: str  # where in the directory a registry keeps its images, as a pattern of the shell

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
            setting="storage.path",
            store=ROOT,
        )

    @classmethod
    def cache(cls, settings: Settings) -> Self:
        """Take those of the volume with what the mirrors cache."""
        return replace(
            cls.of(settings),
            volume=settings.cache_volume,
            path=settings.cache_path,
            setting="storage.cachePath",
            store=f"*/{ROOT}",  # each mirror has one
        )


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
        create = directory_script(args)
        opts = pulumi.ResourceOptions(parent=self)
        if args.host is None:
            return command.local.Command(f"{name}-directory", create=create, opts=opts)
        return command.remote.Command(
            f"{name}-directory", connection=connection(args.host), create=create, opts=opts
        )


def directory_script(args: HostVolumeArgs) -> str:
    """Write the script that makes the directory: the same however often it runs (POSIX sh, DSM's too).

    Everything inside is handed over only when the owner really changes: that walk is slow on a big store.
    And only if it is a registry's: owner and mode would lock out whoever else has files there. What a file
    system or DSM puts into a directory by itself counts for nothing.
    """
    directory = shlex.quote(str(args.path))
    user, mode = f"{args.owner.uid}:{args.owner.gid}", args.owner.mode
    refusal = shlex.quote(
        f"{args.path} does not belong to {user} with mode {mode}, and has files that are no registry's: "
        f"nothing was changed. Set docker-registry:{args.setting} to a directory of its own; or, if they "
        f"may be the registry's, as root: chown -R {user} {directory} && chmod {mode} {directory}"
    )
    return (
        f"set -eu\n"
        f"mkdir -p {directory}\n"
        f"found=$(stat -c %u:%g:0%a {directory})\n"
        f'if [ "$found" != {user}:{mode} ]; then\n'
        f"  if ls -A {directory} | grep -qvxF -e lost+found -e @eaDir -e '#recycle' -e '#snapshot' &&\n"
        f"    ! ls -d {directory}/{args.store} >/dev/null 2>&1; then\n"
        f"    printf '%s\\n' {refusal} >&2\n"
        f"    exit 1\n"
        f"  fi\n"
        f'  [ "${{found%:*}}" = {user} ] || chown -R {user} {directory}\n'
        f"  chmod {mode} {directory}\n"
        f"fi\n"
    )
