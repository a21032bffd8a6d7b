"""Nomad, Consul and Vault: whether they answer, fit, and let the stack's tokens do what a deploy does."""

from collections.abc import Callable

from checks import consul, nomad, vault
from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, ok, split
from checks.errors import AnswerError, CheckError
from checks.servers import Server


def nomad_ready(facts: Facts) -> Finding:
    """Nomad answers, fits and takes the job.

    Symptom: `pulumi up` or `python -m ops status` says that Nomad does not answer, or refuses the job.

    Cause: Nomad is down or without a leader, is too old or too new for `vault.identity` or `storage.kind`,
    has no client in `registry.datacenters`, or does not give the token its rights.

    Fix: `systemctl start nomad`, or what the message names.
    """
    return _ready(
        facts,
        facts.servers.nomad,
        lambda: nomad.problems(facts.settings, facts.servers.nomad),
        _nomad_version,
    )


def consul_ready(facts: Facts) -> Finding:
    """Consul answers and takes the service.

    Symptom: Clients get 404 from Traefik, or `pulumi up` says that Consul does not answer.

    Cause: Consul is down or without a leader, or does not give the token its rights.

    Fix: `systemctl start consul`, or what the message names.
    """
    return _ready(
        facts,
        facts.servers.consul,
        lambda: consul.problems(facts.settings, facts.servers.consul, facts.servers.nomad),
        _consul_version,
    )


def vault_ready(facts: Facts) -> Finding:
    """Vault answers, is unsealed, and has the engines and rights that the stack needs.

    Symptom: The registry does not start after a reboot, or nobody can log in.

    Cause: Vault is down or sealed, an engine or a login backend is missing, or the token lacks rights.

    Fix: `systemctl start vault`, `vault operator unseal`, or what the message names.
    """
    return _ready(
        facts,
        facts.servers.vault,
        lambda: vault.problems(facts.settings, facts.servers.vault),
        _vault_version,
    )


CHECKS = (nomad_ready, consul_ready, vault_ready)


def _ready(
    facts: Facts, server: Server, problems: Callable[[], list[str]], version: Callable[[Server], str]
) -> Finding:
    try:
        found = problems()
    except AnswerError as error:
        if error.status in (401, 403):
            token = f"pulumi config set --secret {server.token_setting} --stack {facts.settings.stack}"
            return failure(str(error), token)
        return failure(str(error), f"journalctl -u {server.name.lower()}   # on its machine")
    except CheckError as error:
        if not str(error).startswith(f"{server.name} at "):  # of another server, which it needs to know of
            raise
        what = str(error).partition(": start it")[0]
        return failure(
            what, f"systemctl start {server.name.lower()}   # on its machine; or set {server.setting}"
        )
    if found:
        what, fix = split(found[0])
        more = f" (and {len(found) - 1} more: `pulumi preview` names all)" if len(found) > 1 else ""
        return failure(what + more, fix)
    return ok(f"{server.name}{version(server)} at {server.address}")


def _nomad_version(server: Server) -> str:
    return _told(server, "/v1/agent/self", "config", "Version", "Version")


def _consul_version(server: Server) -> str:
    return _told(server, "/v1/agent/self", "Config", "Version")


def _vault_version(server: Server) -> str:
    return _told(server, "/v1/sys/health", "version")


def _told(server: Server, path: str, *keys: str) -> str:
    """Read a version, with a space before it; nothing if the token may not, which a deploy need not."""
    try:
        found = server.get(path)
    except AnswerError:
        return ""
    for key in keys:
        found = found.get(key, {})
    return f" {found}" if found else ""
