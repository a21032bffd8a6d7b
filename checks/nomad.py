"""Whether Nomad can run the registry's job, and whether the token may submit it."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from checks.errors import AnswerError
from checks.servers import Server
from checks.volume import path_problem
from config.settings import Settings


def problems(settings: Settings, nomad: Server) -> list[str]:
    """List what stands in the way of the job. Raises CheckError when Nomad cannot be asked."""
    if not nomad.get("/v1/status/leader"):
        return [f"Nomad at {nomad.address} has no leader: look at its servers' logs"]
    if lacking := _rights(settings, nomad):
        return lacking
    if found := _version(settings, nomad):
        return found
    found = _datacenters(settings, nomad)
    if settings.storage.kind == "static" and (moved := path_problem(nomad, settings)):
        found.append(moved)
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


def _rights(settings: Settings, nomad: Server) -> list[str]:
    """Find the rights that a deploy needs and the token lacks.

    Nomad has no way to ask for rights, so each is tried: a plan takes the right to submit and changes
    nothing (Nomad, Job.Plan). Rights on the host volume show only when the job is registered.
    The plan also tells whether the namespace exists.
    """
    namespace = settings.registry.namespace
    plan = f"/v1/job/{settings.registry.name}/plan"
    job = _small_job(settings)
    tries: dict[str, Callable[[], object]] = {
        f'namespace "{namespace}" {{\n  policy = "write"\n}}\n'
        f'host_volume "{settings.volume}" {{\n  policy = "write"\n}}': (
            lambda: nomad.post(plan, {"Job": job}, namespace=namespace)
        ),
        'node {\n  policy = "read"\n}': lambda: nomad.get("/v1/nodes"),
    }
    missing: list[str] = []
    for stanza, attempt in tries.items():
        try:
            attempt()
        except AnswerError as error:
            if error.status == 403:
                missing.append(stanza)
            if "nonexistent namespace" in error.reason:
                return [
                    f"Nomad at {nomad.address} has no namespace {namespace}: "
                    f"`nomad namespace apply {namespace}`, or set registry.namespace"
                ]
    if not missing:
        return []
    if not nomad.has_token:
        return [
            f"Nomad at {nomad.address} asks for a token: set {nomad.token_setting} (a secret), or NOMAD_TOKEN"
        ]
    return [
        f"the token in {nomad.token_setting} lacks rights at Nomad at {nomad.address}; "
        "its ACL policy needs:\n" + "\n".join(missing)
    ]


def _small_job(settings: Settings) -> dict[str, Any]:
    """Make the least that Nomad takes for a job: it looks at the job before it looks at the token."""
    registry = settings.registry
    task = {"Name": "registry", "Driver": "docker", "Config": {"image": registry.image}}
    return {
        "ID": registry.name,
        "Name": registry.name,
        "Namespace": registry.namespace,
        "Type": "service",
        "Datacenters": list(registry.datacenters),
        "TaskGroups": [{"Name": "registry", "Tasks": [task]}],
    }


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
