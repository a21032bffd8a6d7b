"""What the machine under the registry has that gets in the way, as Synology's DSM does."""

import socket
from collections.abc import Mapping
from typing import Any

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.errors import CheckError
from checks.ports import is_open, who_answers

_POOR_DRIVERS = {
    "vfs": "copies every layer",
    "aufs": "is no longer maintained",
    "devicemapper": "is no longer maintained",
}


def port_free(facts: Facts) -> Finding:
    """No other program has the registry's ports.

    Symptom: The allocation fails with `address already in use` or `port is already allocated`; a browser
    shows the log-in page of DSM.

    Cause: DSM's own pages are on 5000 and 5001, the registry's defaults; or another container has the port.

    Fix: `pulumi config set --path docker-registry:registry.port 5050`, then `pulumi up`; or other ports for
    DSM (Control Panel, Login Portal).
    """
    registry, bound = facts.settings.registry, facts.settings.access.bound_address
    if registry.is_shared:
        return not_looked_at("several instances have ports that Nomad chooses")
    if facts.runs:
        return ok(f"the registry has {registry.port} and {registry.debug_port}")
    addresses = [str(bound)] if bound else facts.home_addresses()
    keys = {"port": registry.port, "debugPort": registry.debug_port}
    taken = {key: (each, port) for key, port in keys.items() for each in addresses if is_open(each, port)}
    if not taken:
        return ok(f"{registry.port} and {registry.debug_port} are free")
    named = [
        f"{who_answers(*place) or 'a program'} has port {place[1]} of {place[0]}" for place in taken.values()
    ]
    settings = [facts.set(f"registry.{key}", port + 50) for key, (_, port) in taken.items()]
    return failure("; ".join(named), "\n".join([*settings, facts.up]))


def docker_storage(facts: Facts) -> Finding:
    """Docker keeps its images in a way that is fit for it.

    Symptom: Pulls on the registry's machine are slow and fill the disk.

    Cause: On old kernels and some filesystems Docker falls back to the storage driver `vfs` or `aufs`.

    Fix: `"storage-driver": "overlay2"` (on Synology's btrfs volumes `"btrfs"`) in the engine's daemon.json;
    its images have to be pulled again.
    """
    info = _engine_below(facts)
    driver = info["Driver"]
    if reason := _POOR_DRIVERS.get(driver):
        return warning(
            f"Docker's storage driver is {driver}, which {reason}",
            '"storage-driver": "overlay2"   # in /etc/docker/daemon.json, then restart Docker',
        )
    return ok(f"Docker {info['ServerVersion']}, storage driver {driver}")


def cpu_limits(facts: Facts) -> Finding:
    """The kernel can do what the job asks of it.

    Symptom: The allocation fails with `NanoCPUs can not be set, as your kernel does not support CPU CFS`.

    Cause: DSM's kernel has no CFS quota, and somebody set `cpu_hard_limit` in the job; our job never does.

    Fix: `pulumi up`
    """
    job = facts.job()
    if job is None:
        return not_looked_at("there is no job")
    tasks = [task for group in job["TaskGroups"] for task in group["Tasks"]]
    if not any((task["Config"] or {}).get("cpu_hard_limit") for task in tasks):
        return ok("the job asks for no CPU quota")
    if _engine_below(facts)["CpuCfsQuota"]:
        return ok("the job asks for a CPU quota, and this machine's kernel has it")
    return failure("the job asks for a CPU quota, which this machine's kernel does not have", facts.up)


CHECKS = (port_free, docker_storage, cpu_limits)


def _engine_below(facts: Facts) -> Mapping[str, Any]:
    """Ask the engine that runs the registry. Raises CheckError if that is another machine's."""
    allocation, host = facts.allocation(), facts.settings.storage.host
    if allocation is None:
        if host:
            raise CheckError(f"the registry is to run on {host.address}")
        return facts.engine()
    for node in facts.servers.nomad.get("/v1/nodes"):
        if node["ID"] == allocation["NodeID"] and not _is_here(node["Address"]):
            raise CheckError(f"the registry is on {node['Name']} ({node['Address']}), not on this machine")
    return facts.engine()


def _is_here(address: str) -> bool:
    """Whether an address is this machine's own: nothing else can be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
