"""The volume with the images: offered to Nomad, writable, and with room."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, split, warning
from checks.errors import CheckError
from checks.upgrade import little_room
from checks.volume import offers, path_problem, require_offered
from jobs.tasks.store_size import readable


def volume_offered(facts: Facts) -> Finding:
    """A Nomad client offers the volume, for writing and at the stack's path.

    Symptom: `pulumi up` stops with "no Nomad client offers the volume"; or all images seem to be gone.

    Cause: The `host_volume` block is missing in the Nomad client's configuration, is read-only, or names
    another directory.

    Fix: the block that the message prints (`pulumi stack output volumeStanza` prints it too), then restart
    Nomad.
    """
    settings, nomad = facts.settings, facts.servers.nomad
    if not settings.on_volume:
        return not_looked_at("the images are in a bucket")
    if moved := path_problem(nomad, settings):
        return failure(*split(moved))
    try:
        require_offered(nomad, settings)
    except CheckError as error:
        return failure(*split(str(error)))
    return ok(f"volume {settings.volume} is offered at {settings.volume_path}")


def volume_directory(facts: Facts) -> Finding:
    """The directory with the images is there, with its owner and mode.

    Symptom: Pushes end with 500 and the registry's log says `permission denied`; or Nomad does not start.

    Cause: The directory was removed, made anew by root, or restored with another owner.

    Fix: `chown -R 1000:1000 DIRECTORY`, `chmod 0750 DIRECTORY`
    """
    directory, owner = directory_here(facts), facts.settings.storage.owner
    wanted = f"{owner.uid}:{owner.gid}"
    try:
        found = directory.stat()
    except FileNotFoundError:
        made = f"install -d -o {owner.uid} -g {owner.gid} -m {owner.mode} {directory}"
        return failure(f"{directory} is missing", made)
    if (found.st_uid, found.st_gid) != (owner.uid, owner.gid):
        what = f"{directory} belongs to {found.st_uid}:{found.st_gid}, and the registry runs as {wanted}"
        return failure(what, f"chown -R {wanted} {directory}")
    mode, mended = found.st_mode & 0o7777, f"chmod {owner.mode} {directory}"
    if mode & 0o700 != 0o700:
        return failure(f"{directory} has mode {mode:04o}: the registry may not write there", mended)
    if mode != int(owner.mode, 8):
        return warning(f"{directory} has mode {mode:04o}, and the stack says {owner.mode}", mended)
    return ok(f"{directory} belongs to {wanted}, mode {mode:04o}")


def volume_space(facts: Facts) -> Finding:
    """There is room for pushes.

    Symptom: Pushes end with 500, and the registry's log says `no space left on device`.

    Cause: The disk is full, or nearly: below 10 % or 1 GiB free.

    Fix: `python -m ops retention plan`, then `python -m ops gc`; or a larger disk.
    """
    if not facts.settings.on_volume:
        return not_looked_at("the images are in a bucket")
    free, total = _space(facts)
    if not (little := little_room(free, total)):
        return ok(f"{readable(free)} free of {readable(total)}")
    maintained = facts.settings.maintenance.garbage_collection
    schedule = facts.set("maintenance.garbageCollection.schedule", "'17 4 * * 0'")
    freeing = facts.ops("gc") if maintained else f"{schedule}\n{facts.up}\n{facts.ops('gc')}"
    if free == 0:
        return failure(little, freeing)
    return warning(little, freeing)


CHECKS = (volume_offered, volume_directory, volume_space)


def directory_here(facts: Facts) -> Path:
    """Name the directory, if it is to be on this machine. Raises CheckError."""
    settings = facts.settings
    if not settings.on_volume:
        raise CheckError("the images are in a bucket")
    if host := settings.storage.host:
        raise CheckError(
            f"the directory is on {host.address}: {facts.ops('upgrade-check')} looks into it by a job"
        )
    return Path(settings.volume_path)


def _space(facts: Facts) -> tuple[int, int]:
    """Give the bytes free and in total: of the directory here, else by the Nomad client that has it."""
    path = facts.settings.volume_path
    if facts.settings.storage.host is None and Path(path).is_dir():
        disk = os.statvfs(path)
        return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    nomad = facts.servers.nomad
    homes = {offer.node for offer in offers(nomad, facts.settings.volume)}
    for node in nomad.get("/v1/nodes"):
        if node["Name"] in homes:
            disks = nomad.get("/v1/client/stats", node_id=node["ID"])["DiskStats"] or []
            if found := _disk_of(path, disks):
                return int(found["Available"]), int(found["Size"])
    raise CheckError("no Nomad client that has the volume tells of its disks")


def _disk_of(path: PurePosixPath, disks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Find the disk that a path is on (Nomad API: Client, "Read Stats")."""
    there = [disk for disk in disks if path.is_relative_to(disk["Mountpoint"])]
    return max(there, key=lambda disk: len(disk["Mountpoint"]), default=None)
