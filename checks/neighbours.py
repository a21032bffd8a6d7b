"""Jobs beside the stack's own on Nomad's clients, as far as the token may read them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from checks.errors import AnswerError
from checks.servers import Server
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A running task group of a job that is not the stack's."""

    node: str
    job: str
    namespace: str
    ports: frozenset[int]  # of the host
    writes: frozenset[str]  # host volumes that it may write to

    def __str__(self) -> str:
        return f"job {self.job} (namespace {self.namespace}) on {self.node}"


def neighbours(nomad: Server, settings: Settings, nodes: Iterable[Mapping[str, Any]]) -> Iterator[Neighbour]:
    """List them. Nomad shows allocations of the namespaces in which the token has `read-job`."""
    here = {node["ID"] for node in nodes}
    jobs: dict[tuple[str, str], Mapping[str, Any]] = {}
    for allocation in allocations(nomad):
        runs = allocation["DesiredStatus"] == "run" and allocation["ClientStatus"] in ("pending", "running")
        if allocation["NodeID"] not in here or not runs or _is_own(allocation, settings):
            continue
        key = allocation["Namespace"], allocation["JobID"]
        try:
            if key not in jobs:
                jobs[key] = nomad.get(f"/v1/job/{quote(key[1], safe='')}", namespace=key[0])
        except AnswerError as error:
            if error.status == 404:  # it has just been purged, and Nomad is yet to stop this
                continue
            raise
        yield _neighbour(allocation, jobs[key])


def allocations(nomad: Server) -> Sequence[Mapping[str, Any]]:
    """List what runs, or ran, in the namespaces that the token may read: without the jobs, which are long."""
    found: Sequence[Mapping[str, Any]] = nomad.get("/v1/allocations", namespace="*", resources="true")
    return found


def _is_own(allocation: Mapping[str, Any], settings: Settings) -> bool:
    """Tell the stack's jobs by their whole names; another stack's name may go on from this one's."""
    # A run of a job has a name of its own below it, as docker-registry-gc/periodic-1700000000.
    job, _, _ = allocation["JobID"].partition("/")
    return allocation["Namespace"] == settings.registry.namespace and job in settings.job_names


def _neighbour(allocation: Mapping[str, Any], job: Mapping[str, Any]) -> Neighbour:
    # The job may have another version by now, without the group.
    groups = [each for each in job["TaskGroups"] if each["Name"] == allocation["TaskGroup"]]
    volumes = [volume for group in groups for volume in (group["Volumes"] or {}).values()]
    ports = allocation["AllocatedResources"]["Shared"]["Ports"] or ()
    return Neighbour(
        node=allocation["NodeName"],
        job=allocation["JobID"],
        namespace=allocation["Namespace"],
        ports=frozenset(port["Value"] for port in ports),
        writes=frozenset(
            each["Source"] for each in volumes if each["Type"] == "host" and not each["ReadOnly"]
        ),
    )
