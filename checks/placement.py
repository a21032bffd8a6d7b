"""Whether Nomad has a place for the registry, and why not."""

from collections.abc import Iterator, Mapping
from typing import Any

from checks.errors import CheckError
from checks.job_plan import job_plan
from checks.port_collision import settled_plan
from checks.servers import Server
from config.settings import Settings


def require_place(
    nomad: Server, settings: Settings, job: Mapping[str, Any], volume: str | None, section: str
) -> None:
    """Let Nomad plan the job, which changes nothing; raise CheckError with its reasons if it finds no place.

    Without this an update stops the old allocation before Nomad sees that the new one fits nowhere. A port of
    an allocation that is about to end is waited for.
    `volume` is what the job mounts, if anything, `section` where the stack file has its port and resources.
    """
    if failed := settled_plan(nomad, lambda: job_plan(nomad, job))["FailedTGAllocs"]:
        reasons = "\n".join(f"  {reason}" for reason in placement_reasons(nomad, settings, failed, volume))
        raise CheckError(
            f"Nomad at {settings.providers.nomad.address} has no place for job {job['ID']}:\n{reasons}\n"
            f"Ask for less (docker-registry:{section}.memory, cpu), or for another port, or make room."
        )


def placement_reasons(
    nomad: Server, settings: Settings, failed: Mapping[str, Any], volume: str | None
) -> list[str]:
    """Read Nomad's metrics of task groups that it could not place, then each node as it is."""
    reasons = [reason for metrics in failed.values() for reason in _unplaced(settings, metrics)]
    return reasons + [_node(nomad, node, volume) for node in nomad.get("/v1/nodes")]


def _unplaced(settings: Settings, metrics: Mapping[str, Any]) -> Iterator[str]:
    """Read Nomad's allocation metrics (Nomad API: Evaluations)."""
    if not metrics["NodesEvaluated"]:
        yield f"no ready node in datacenter {', '.join(settings.registry.datacenters)}"
    for constraint, count in (metrics["ConstraintFiltered"] or {}).items():
        yield f"{_nodes(count)} filtered: {constraint}"
    for node_class, count in (metrics["ClassFiltered"] or {}).items():
        yield f"{_nodes(count)} of class {node_class} filtered"
    for dimension, count in (metrics["DimensionExhausted"] or {}).items():
        yield f"{_nodes(count)} exhausted: {dimension}"
    for node_class, count in (metrics["ClassExhausted"] or {}).items():
        yield f"{_nodes(count)} of class {node_class} exhausted"
    for quota in metrics["QuotaExhausted"] or ():
        yield f"quota exhausted: {quota}"


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _node(nomad: Server, node: Mapping[str, Any], volume: str | None) -> str:
    facts = [f"{node['Status']} in {node['Datacenter']}"]
    if node["SchedulingEligibility"] != "eligible":
        command = f"nomad node eligibility -address={nomad.address} -enable {node['ID']}"
        facts.append(f"not eligible for new work (`{command}`)")
    docker = (node["Drivers"] or {}).get("docker")
    if docker is None:
        facts.append("no docker driver")
    elif not docker["Healthy"]:
        facts.append(f"docker driver: {docker['HealthDescription']}")
    volumes = sorted(node["HostVolumes"] or {})
    if volume and volume not in volumes:
        facts.append(f"no volume {volume} (it offers {', '.join(volumes) or 'none'})")
    return f"node {node['Name']}: {'; '.join(facts)}"
