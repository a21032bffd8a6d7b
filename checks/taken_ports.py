"""Whether the stack's ports are free where it may run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from checks.neighbours import neighbours
from checks.port_collision import settled_plan
from checks.servers import Server
from checks.small_job import small_job
from config.settings import Settings

# Nomad's words for a port that is taken (nomad, structs/network.go), as `registry=5000`.
_COLLISION = re.compile(r"reserved port collision (\w+)=(\d+)")


@dataclass(frozen=True, kw_only=True)
class _Port:
    """A port of the host."""

    label: str
    value: int
    key: str  # where it is set


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What of a job decides where its ports have to be free."""

    name: str  # the real one's: Nomad counts the ports that it has as free
    what: str
    volume: str | None
    groups: Mapping[str, Sequence[_Port]]


def port_problems(nomad: Server, settings: Settings, host_network: str | None) -> Iterator[str]:
    """Let Nomad plan jobs that have the ports and little else, and say who has one that is taken.

    Nomad knows of ports in every namespace. Raises CheckError.
    """
    jobs = list(_jobs(settings))
    if not jobs:
        return
    nodes = nomad.get("/v1/nodes")
    for job in jobs:
        offered = any(job.volume in (node["HostVolumes"] or {}) for node in nodes)
        request = {"Job": _to_api(settings, job, host_network, with_volume=offered)}
        ask = partial(nomad.post, f"/v1/job/{job.name}/plan", request, namespace=settings.registry.namespace)
        for port in _taken(job, settled_plan(nomad, ask)):
            ready = [node for node in nodes if node["Status"] == "ready"]
            holders = [str(each) for each in neighbours(nomad, settings, ready) if port.value in each.ports]
            who = ", ".join(holders) or (
                "something that the token may not read, another job of this stack, or `reserved` of the "
                "client"
            )
            yield (
                f"docker-registry:{port.key}: no client of Nomad at {nomad.address} that may run {job.what} "
                f"has port {port.value} free; it is taken by {who}: set another port"
            )


def _jobs(settings: Settings) -> Iterator[_Job]:
    registry, mirrors, monitoring = settings.registry, settings.mirrors.root, settings.monitoring
    if not registry.is_shared:  # else Nomad chooses ports that are free
        ports = (
            _Port(label="registry", value=registry.port, key="registry.port"),
            _Port(label="metrics", value=registry.debug_port, key="registry.debugPort"),
        )
        yield _Job(
            name=registry.name,
            what="the registry",
            volume=settings.mounted_volume,
            groups={"registry": ports},
        )
    if mirrors:
        yield _Job(
            name=settings.mirrors_job,
            what="the mirror",
            volume=settings.cache_volume,
            groups={
                mirror.name: (_Port(label="registry", value=mirror.port, key=f"mirrors[{index}].port"),)
                for index, mirror in enumerate(mirrors)
            },
        )
    if monitoring:
        yield _Job(
            name=settings.exporter_job,
            what="the exporter",
            volume=settings.mounted_volume,
            groups={"exporter": (_Port(label="metrics", value=monitoring.port, key="monitoring.port"),)},
        )


def _taken(job: _Job, plan: Mapping[str, Any]) -> Iterator[_Port]:
    """Find the ports for which Nomad has no place."""
    for group, metrics in (plan.get("FailedTGAllocs") or {}).items():
        for reason in metrics["DimensionExhausted"] or ():
            if found := _COLLISION.search(reason):
                yield from (port for port in job.groups[group] if port.value == int(found[2]))


def _to_api(settings: Settings, job: _Job, host_network: str | None, *, with_volume: bool) -> dict[str, Any]:
    """Make a job that fits wherever the ports are free and, if it is offered, the volume is."""
    made = small_job(settings)
    (group,) = made["TaskGroups"]
    volume = {"Name": "data", "Type": "host", "Source": job.volume}
    volumes = {"data": volume} if with_volume else None
    groups = []
    for name, ports in job.groups.items():
        reserved = [
            {"Label": port.label, "Value": port.value, "HostNetwork": host_network or ""} for port in ports
        ]
        networks = [{"ReservedPorts": reserved}]
        groups.append({**group, "Name": name, "Networks": networks, "Volumes": volumes})
    return {**made, "ID": job.name, "Name": job.name, "TaskGroups": groups}
