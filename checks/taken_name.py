"""Whether a name that the program is about to take is free: what has it may be another stack's."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from checks.errors import AnswerError, CheckError
from checks.servers import Server, Servers
from config.settings import Settings

_OWN_NAME = "give this stack a registry.name of its own"


def require_free(servers: Servers, settings: Settings, kind: str, inputs: Mapping[str, Any]) -> None:
    """Raise CheckError if there is such a resource already.

    `kind` is Pulumi's type, `inputs` are those of a resource that this stack does not have yet, or that
    `--replace` names: at preview the old one is still there, and the engine does not say whose it is. The
    servers would let one stack write over the other's without a word.
    """
    if check := CHECKED.get(kind):
        try:
            check(servers, settings, inputs)
        except CheckError as error:
            raise CheckError(f"{error}; or, if it is named by --replace, add --skip-preview") from None


def _job(servers: Servers, settings: Settings, inputs: Mapping[str, Any]) -> None:
    nomad, jobspec = servers.nomad, inputs["jobspec"]
    if not isinstance(jobspec, str):
        return  # not known at preview; `up` asks again
    job = json.loads(jobspec)
    name, namespace = job["ID"], job["Namespace"]
    found = _found(nomad, f"/v1/job/{name}", namespace=namespace)
    if found is None or found["Stop"]:  # somebody has stopped it, so nobody needs it
        return
    raise CheckError(
        f"Nomad at {nomad.address} has a job {name} in namespace {namespace} already, and it is not this "
        f"stack's: {_OWN_NAME}, or a namespace of its own; or, if this stack is to replace it, "
        f"`nomad job stop -purge -address={nomad.address} -namespace={namespace} {name}`"
    )


def _policy(servers: Servers, settings: Settings, inputs: Mapping[str, Any]) -> None:
    vault, name = servers.vault, inputs["name"]
    if _found(vault, f"/v1/sys/policies/acl/{name}"):
        raise CheckError(
            f"Vault at {vault.address} has a policy {name} already, and it is not this stack's. It may be "
            f"another stack's with the same registry.name, whose secrets are at {settings.vault.mount}/"
            f"{settings.registry.name}/ too, or belong to a grant: {_OWN_NAME}; or, if nobody needs it, "
            f"`vault policy delete {name}`"
        )


def _auth_backend(servers: Servers, settings: Settings, inputs: Mapping[str, Any]) -> None:
    vault, path = servers.vault, inputs["path"]
    if _found(vault, f"/v1/sys/internal/ui/mounts/auth/{path}") is None:
        return
    own = path == settings.vault.workload.backend
    advice = "set vault.workload.createBackend to false to use it" if own else _OWN_NAME
    raise CheckError(
        f"Vault at {vault.address} has an auth backend at {path}/ already, and it is not this stack's: "
        f"{advice}; or, if nobody needs it, `vault auth disable {path}`"
    )


CHECKED: Mapping[str, Callable[[Servers, Settings, Mapping[str, Any]], None]] = {
    "nomad:index/job:Job": _job,
    "vault:index/policy:Policy": _policy,
    "vault:index/authBackend:AuthBackend": _auth_backend,
    "vault:jwt/authBackend:AuthBackend": _auth_backend,
}


def _found(server: Server, path: str, **parameters: str) -> Mapping[str, Any] | None:
    """Read a path; None if there is nothing, or the token may not see it."""
    try:
        found: Mapping[str, Any] = server.get(path, **parameters)
    except AnswerError as error:
        if error.status in (400, 403, 404):
            return None
        raise
    return found
