"""Whether Nomad can run the registry's job, and whether the token may submit it."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from checks.backup_volume import backup_place_problems
from checks.errors import AnswerError, CheckError
from checks.network import host_network
from checks.nomad_acl import policy_problems
from checks.nomad_rights import lacking_rights
from checks.servers import Server
from checks.taken_ports import port_problems
from checks.taken_volume import taken_volume_problems
from checks.volume import path_problem
from config.settings import Settings


def problems(settings: Settings, nomad: Server) -> list[str]:
    """List what stands in the way of the job. Raises CheckError when Nomad cannot be asked."""
    if not nomad.get("/v1/status/leader"):
        return [f"Nomad at {nomad.address} has no leader: `journalctl -u nomad`, on its servers"]
    if lacking := lacking_rights(settings, nomad):
        return lacking
    if found := _version(settings, nomad):
        return found
    found = _datacenters(settings, nomad)
    found += _instances(settings, nomad)
    found += policy_problems(nomad, settings)
    found += backup_place_problems(nomad, settings)
    if settings.on_volume and settings.storage.kind == "static" and (moved := path_problem(nomad, settings)):
        found.append(moved)
    found += taken_volume_problems(nomad, settings)
    try:
        network = host_network(nomad, settings)
    except CheckError as error:
        found.append(str(error))
    else:
        found += port_problems(nomad, settings, network)
    return found


def _version(settings: Settings, nomad: Server) -> list[str]:
    try:
        version: str = nomad.get("/v1/agent/self")["config"]["Version"]["Version"]
    except AnswerError as error:
        if error.status == 403:  # needs agent:read, which a deploy does not
            return []
        raise
    major, minor = (int(part) for part in version.split(".")[:2])
    running, found = f"Nomad at {nomad.address} is {version}", []
    if settings.vault.identity == "workload" and (major, minor) < (1, 7):
        found.append(f"{running}, and vault.identity workload needs 1.7: set vault.identity to policies")
    if settings.vault.identity == "policies" and (major, minor) >= (1, 10):
        found.append(
            f"{running}, and vault.identity policies needs 1.9 or older: set vault.identity to workload"
        )
    if settings.storage.kind == "dynamic" and (major, minor) < (1, 10):
        found.append(f"{running}, and storage.kind dynamic needs 1.10: set storage.kind to static")
    return found


def _instances(settings: Settings, nomad: Server) -> list[str]:
    """Look whether an autoscaler can begin with what runs: a deploy leaves that number as it is."""
    registry, scaling = settings.registry, settings.registry.scaling
    if scaling is None:
        return []
    try:
        job = nomad.get(f"/v1/job/{registry.name}", namespace=registry.namespace)
    except AnswerError as error:
        if error.status == 404:
            return []
        raise
    count = sum(group["Count"] for group in job["TaskGroups"])
    if job["Stop"] or scaling.min <= count <= scaling.max:
        return []
    return [
        f"job {registry.name} at Nomad at {nomad.address} has {count} instances, and registry.scaling.min "
        f"and max are {scaling.min} and {scaling.max}: deploy registry.count without registry.scaling first"
    ]


def _datacenters(settings: Settings, nomad: Server) -> list[str]:
    wanted: Sequence[str] = settings.registry.datacenters
    there = sorted({node["Datacenter"] for node in nomad.get("/v1/nodes") if node["Status"] == "ready"})
    # A job may name datacenters by patterns (Nomad 1.5).
    if any(fnmatchcase(datacenter, pattern) for datacenter in there for pattern in wanted):
        return []
    clients = f"its ready clients are in {', '.join(there)}" if there else "it has no ready client"
    return [
        f"Nomad at {nomad.address} has no client in {', '.join(wanted)}: {clients}; "
        "set registry.datacenters, or start Nomad's client"
    ]
