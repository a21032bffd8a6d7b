"""One marked line in /etc/hosts, so that `registry.homelab.local` is this machine."""

import os
from pathlib import Path

from devcluster.instance import HOSTNAME, LOOPBACK, Instance

HOSTS = Path("/etc/hosts")


def line(instance: Instance) -> str:
    """The line of this instance; its folder marks whose it is."""
    return f"{LOOPBACK} {HOSTNAME} # docker-registry cluster {instance.root}"


def add(instance: Instance, hosts: Path = HOSTS) -> str | None:
    """Add the line; where that is not allowed, return what the person has to do."""
    text = hosts.read_text()
    if line(instance) in text.splitlines():
        return None
    if not os.access(hosts, os.W_OK):
        return f"add this line to {hosts} (as root), so that the name reaches Traefik:\n    {line(instance)}"
    separator = "" if not text or text.endswith("\n") else "\n"
    with hosts.open("a") as file:
        file.write(f"{separator}{line(instance)}\n")
    return None


def remove(instance: Instance, hosts: Path = HOSTS) -> None:
    """Take away the line of this instance; the file stays untouched when it has none."""
    kept = [
        text for text in hosts.read_text().splitlines(keepends=True) if text.rstrip("\n") != line(instance)
    ]
    text = "".join(kept)
    if text != hosts.read_text() and os.access(hosts, os.W_OK):
        # Written in place: in containers the file is a mount and cannot be replaced.
        hosts.write_text(text)
