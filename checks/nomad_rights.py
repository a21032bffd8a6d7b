"""Whether the token may do at Nomad what a deploy does; docs/policies/nomad.hcl has the rules."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from checks.errors import AnswerError
from checks.servers import Server
from checks.small_job import small_job
from config.settings import Settings


def lacking_rights(settings: Settings, nomad: Server) -> list[str]:
    """Find the rights that a deploy needs and the token lacks, and whether the namespace exists.

    Nomad has no way to ask for rights, so each is tried in a way that changes nothing.
    """
    registry, job = settings.registry, small_job(settings)
    namespace, path = registry.namespace, f"/v1/job/{registry.name}"
    try:
        nomad.post(f"{path}/plan", {"Job": job}, namespace=namespace)
        may_submit = True
    except AnswerError as error:
        if "nonexistent namespace" in error.reason:
            return [
                f"Nomad at {nomad.address} has no namespace {namespace}: "
                f"`nomad namespace apply {namespace}`, or set registry.namespace"
            ]
        may_submit = error.status != 403
    may_read = _allowed(lambda: nomad.get(path, namespace=namespace))
    capabilities = {"submit-job": may_submit, "read-job": may_read}
    missing = []
    if lacking := [name for name, allowed in capabilities.items() if not allowed]:
        missing.append(f'namespace "{namespace}" {{\n  capabilities = {json.dumps(lacking)}\n}}')
    if may_submit and nomad.has_token:
        missing += [
            # A rule's name may have no underscore, so a pattern stands for it (Nomad, acl/policy.go).
            f'host_volume "{volume.replace("_", "*")}" {{\n  policy = "write"\n}}'
            for volume in _volumes(settings)
            if not _allowed(partial(_register_nothing, nomad, job, volume))
        ]
    if not _allowed(lambda: nomad.get("/v1/nodes")):
        missing.append('node {\n  policy = "read"\n}')
    if not missing:
        return []
    if not nomad.has_token:
        return [
            f"Nomad at {nomad.address} asks for a token: set {nomad.token_setting} (a secret), or NOMAD_TOKEN"
        ]
    return [
        f"the token in {nomad.token_setting} lacks rights at Nomad at {nomad.address}; "
        "its ACL policy needs:\n" + "\n".join(missing) + "\n(docs/policies/nomad.hcl has all)"
    ]


def _allowed(attempt: Callable[[], object]) -> bool:
    """Whether an attempt is let through; what else Nomad says of it does not matter here."""
    try:
        attempt()
    except AnswerError as error:
        return error.status != 403
    return True


def _volumes(settings: Settings) -> list[str]:
    """Name the host volumes that the jobs mount."""
    nodes = settings.auth.nodes
    return [
        *([settings.volume] if settings.on_volume else []),
        *([nodes.volume] if nodes else []),
        *([settings.backup_volume] if settings.backup_volume else []),
        *([settings.cache_volume] if settings.mirrors.root else []),
    ]


def _register_nothing(nomad: Server, job: Mapping[str, Any], volume: str) -> None:
    """Have a job with a volume refused: only a registration checks rights on volumes, a plan does not.

    It is to happen only if the job has the highest index that there can be, so it never does; Nomad looks
    at the rights first (nomad/job_endpoint.go, Job.Register).
    """
    group = {**job["TaskGroups"][0], "Volumes": {"data": {"Name": "data", "Type": "host", "Source": volume}}}
    request = {"Job": {**job, "TaskGroups": [group]}, "EnforceIndex": True, "JobModifyIndex": 2**64 - 1}
    nomad.post("/v1/jobs", request, namespace=job["Namespace"])
