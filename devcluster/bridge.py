"""The network bridge of a dockerd of our own: its own name and subnet, so that engines live side by side."""

import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Iterator

from devcluster.errors import ClusterError
from devcluster.instance import Instance

# Rarely used by home routers, Docker's own pools (172.17 to 172.31, 192.168) or Nomad's bridge (172.26.64).
POOL = ipaddress.IPv4Network("10.213.0.0/16")

TRIES = 5

Rule = tuple[str, ...]


def ensure(instance: Instance) -> None:
    """Create the bridge if it is not there, with a subnet that nothing else on this machine has."""
    name = instance.label
    with _one_at_a_time():
        networks = _networks()
        subnet = networks.get(name)
        if not subnet:
            subnet = free_subnet(list(networks.values()))
            _ip("link", "add", "name", name, "type", "bridge")
            _ip("address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", name)
            _ip("link", "set", name, "up")
    for rule in rules(name, subnet):
        _set(rule, present=True)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep two clusters that start at once from taking one subnet, and reaching each other's containers."""
    folder = os.open("/run", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def remove(instance: Instance) -> None:
    """Take the bridge and its rules away, if they are there."""
    name = instance.label
    subnet = _networks().get(name)
    if subnet:
        for rule in rules(name, subnet):
            _set(rule, present=False)
        _ip("link", "delete", name)


def free_subnet(taken: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first /24 of the pool that overlaps none of `taken`."""
    for subnet in POOL.subnets(new_prefix=24):
        if not any(subnet.overlaps(network) for network in taken):
            return subnet
    raise ClusterError(f"no /24 of {POOL} is free for a bridge: remove unused bridges (`ip link`)")


def rules(name: str, subnet: ipaddress.IPv4Network) -> list[Rule]:
    """The containers' way out. dockerd's own rules are off: a second dockerd would flush the first's."""
    return [
        ("-t", "nat", "POSTROUTING", "-s", str(subnet), "!", "-o", name, "-j", "MASQUERADE"),
        ("-t", "filter", "FORWARD", "-i", name, "-j", "ACCEPT"),
        ("-t", "filter", "FORWARD", "-o", name, "-j", "ACCEPT"),
    ]


def _networks() -> dict[str, ipaddress.IPv4Network]:
    """The IPv4 network of each interface."""
    return {
        link["ifname"]: ipaddress.IPv4Interface(f"{address['local']}/{address['prefixlen']}").network
        for link in json.loads(_ip("-json", "-4", "address", "show"))
        for address in link["addr_info"]
    }


def _ip(*arguments: str) -> str:
    if not shutil.which("ip"):
        raise ClusterError(
            "`ip` is missing, which makes the containers' bridge: install the package iproute2"
        )
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ClusterError(f"`ip {' '.join(arguments)}` failed: {result.stderr.strip()}")
    return result.stdout


def _set(rule: Rule, *, present: bool) -> None:
    """Insert or delete a rule; again where another program's change made iptables give up."""
    for _ in range(TRIES):
        # 1 is of a rule that is not there, anything else of tables that cannot be read just now.
        if _iptables("-C", rule).returncode == (0 if present else 1):
            return
        last = _iptables("-I" if present else "-D", rule)
    raise ClusterError(f"`{' '.join(last.args)}` failed: {last.stderr.strip()}")


def _iptables(action: str, rule: Rule) -> subprocess.CompletedProcess[str]:
    table, chain, match = rule[:2], rule[2], rule[3:]
    command = ["iptables", "--wait", *table, action, chain, *match]
    return subprocess.run(command, capture_output=True, text=True, check=False)
