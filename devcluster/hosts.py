"""Marked lines in /etc/hosts, so that `registry.homelab.local` is this machine."""

import fcntl
import os
from pathlib import Path

from devcluster.instance import HOSTNAME, LOOPBACK, Instance

HOSTS = Path("/etc/hosts")


def line(instance: Instance) -> str:
    """The line of this instance; its folder marks whose it is."""
    return f"{LOOPBACK} {HOSTNAME} # docker-registry cluster {instance.root}"


def add(instance: Instance, hosts: Path = HOSTS) -> str | None:
    """Add the line; where that is not allowed, return what the person has to do."""
    if line(instance) in hosts.read_text().splitlines():
        return None
    if not os.access(hosts, os.W_OK):
        return f"add this line to {hosts} (as root), so that the name reaches Traefik:\n    {line(instance)}"
    edit(hosts, add=line(instance))
    return None


def remove(instance: Instance, hosts: Path = HOSTS) -> None:
    """Take away the line of this instance; the file stays untouched when it has none."""
    if line(instance) in hosts.read_text().splitlines() and os.access(hosts, os.W_OK):
        edit(hosts, remove=line(instance))


def edit(hosts: Path, *, add: str | None = None, remove: str | None = None) -> None:
    """Add and remove a line, one program at a time: several clusters start and stop side by side."""
    # Written in place: in containers the file is a mount and cannot be replaced.
    with hosts.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lines = [each for each in file.read().splitlines() if each != remove]
        file.seek(0)
        file.write("".join(f"{each}\n" for each in [*lines, *([add] if add else [])]))
        file.truncate()
