"""The registry's secrets in Vault: there, current, and read by nobody else."""

import json
import re
from collections.abc import Iterator

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.errors import AnswerError
from jobs.tasks.refresh_jwks import canonical

_PATH = re.compile(r'path\s+"(?P<path>[^"]+)"\s*\{')
_CAPABILITIES = re.compile(r'(?:capabilities\s*=\s*\[(?P<list>[^\]]*)\]|policy\s*=\s*"(?P<policy>\w+)")')


def secrets_there(facts: Facts) -> Finding:
    """The registry's secrets are in Vault.

    Symptom: The allocation stays `pending`, and Nomad says `Missing: vault.read(…)`.

    Cause: Somebody deleted a secret, or Vault was set up anew.

    Fix: `vault kv undelete`, or what else the message prints. `pulumi up` alone notices only a secret that is
    gone with all its versions.
    """
    settings, fixes = facts.settings, {}
    for key, path in settings.secret_paths.items():
        if fix := _lost(facts, key):
            fixes[path] = fix
    if not fixes:
        return ok(f"{', '.join(settings.secret_paths)}: all are in Vault")
    return failure(f"not in Vault: {', '.join(fixes)}", "\n".join(dict.fromkeys(fixes.values())))


def secrets_closed(facts: Facts) -> Finding:
    """No other policy in Vault reads the registry's secrets.

    Symptom: None; whoever has a token with that policy knows the users' hashes and `http.secret`.

    Cause: A policy with a wide path, as `secret/*`.

    Fix: narrow that policy: `vault policy read NAME`, then `vault policy write NAME FILE`. With paths that
    have templates in them nothing is claimed.
    """
    vault, settings = facts.servers.vault, facts.settings
    names: list[str] = vault.get("/v1/sys/policies/acl", list="true")["data"]["keys"]
    mine = vault.get("/v1/auth/token/lookup-self")["data"]
    # Everybody has `default`, so it is not the deployer's own.
    deployer = {*mine["policies"], *(mine.get("identity_policies") or ())} - {"default"}
    own = settings.job_names | deployer | {"root"}
    found = {}
    for name in sorted(set(names) - own):
        text = vault.get(f"/v1/sys/policies/acl/{name}")["data"]["policy"]
        if opened := [path for path in settings.secret_paths.values() if reads(text, path)]:
            found[name] = opened
    if not found:
        return ok("no other policy reads them")
    what = "; ".join(f"policy {name} reads {', '.join(paths)}" for name, paths in found.items())
    return warning(
        what,
        "\n".join(
            f"{facts.vault('policy read', name)}   # and write it with a narrower path" for name in found
        ),
    )


def vault_role_fits(facts: Facts) -> Finding:
    """The registry's role in Vault takes the identity with which its job comes.

    Symptom: The allocation stays `pending`, and Nomad says `invalid audience (aud) claim`, or that claims do
    not match.

    Cause: Somebody changed the role in Vault, or took it away.

    Fix: `pulumi up`
    """
    vault, settings, name = facts.servers.vault, facts.settings, facts.settings.registry.name
    if settings.vault.identity != "workload":
        return not_looked_at("vault.identity is policies: the job logs in by no role")
    backend, audience = settings.vault.workload.backend, settings.vault.workload.audience
    what = f"role {name} of auth/{backend}"
    try:
        role = vault.get(f"/v1/auth/{backend}/role/{name}")["data"]
    except AnswerError as error:
        if error.status != 404:
            raise
        return failure(f"Vault has no {what}", facts.up)
    claims = {"nomad_namespace": settings.registry.namespace, "nomad_job_id": name}
    bound = role["bound_claims"] or {}
    wrong = [
        f"{key} {bound.get(key)}, not {value}"
        for key, value in claims.items()
        if bound.get(key) not in (value, [value])
    ]
    if audience not in (role["bound_audiences"] or ()):
        wrong.append(f"audiences {role['bound_audiences']}, not {audience}")
    if name not in (role["token_policies"] or ()):
        wrong.append(f"policies {role['token_policies']}, not {name}")
    if wrong:
        return failure(f"{what} has {'; '.join(wrong)}", facts.up)
    return ok(f"{what} takes audience {audience} and job {name}")


def keys_current(facts: Facts) -> Finding:
    """The registry knows the keys that Vault signs tokens with.

    Symptom: With `auth.mode: vault` every fresh token gets 401.

    Cause: A key was rotated by hand, and the daily job has not run since or fails.

    Fix: `python -m ops keys refresh`
    """
    settings, vault = facts.settings, facts.servers.vault
    path = settings.secret_paths.get("jwks")
    if path is None:
        return not_looked_at(f"auth.mode is {settings.auth.mode}: there are no keys of Vault's")
    published = vault.get("/v1/identity/oidc/.well-known/keys")
    try:
        stored = vault.get(f"/v1/{path}")["data"]["data"]["jwks"]
    except AnswerError as error:
        if error.status != 404:
            raise
        return failure(f"there is no secret {path}", facts.ops("keys refresh"))
    wanted = canonical(published)
    if stored == wanted:
        return ok("the registry has the keys that Vault publishes")
    return failure("Vault publishes other keys than the registry has", facts.ops("keys refresh"))


CHECKS = (secrets_there, secrets_closed, vault_role_fits, keys_current)


def reads(policy: str, path: str) -> bool:
    """Whether a policy lets its holder read a path; of several rules the closest one counts.

    Vault, documentation, "Policy syntax": `+` is one segment, `*` at the end anything.
    """
    rules = {pattern: found for pattern, found in _rules(policy) if _covers(pattern, path)}
    if not rules:
        return False
    closest = max(rules, key=lambda pattern: (pattern == path, len(pattern.rstrip("*")), "+" not in pattern))
    return "read" in rules[closest] and "deny" not in rules[closest]


def _rules(policy: str) -> Iterator[tuple[str, set[str]]]:
    """Read paths and capabilities; a policy may be JSON instead of HCL."""
    try:
        written = json.loads(policy)["path"]
    except (ValueError, KeyError, TypeError):
        yield from _rules_of_hcl(policy)
        return
    for path, rule in written.items():
        yield path, set(rule.get("capabilities", ()))


def _rules_of_hcl(policy: str) -> Iterator[tuple[str, set[str]]]:
    text = re.sub(r"(?m)^\s*(#|//).*$", "", policy)
    starts = list(_PATH.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    for start, end in zip(starts, ends[: len(starts)], strict=True):
        found = _CAPABILITIES.search(text, start.end(), end)
        if found and found["list"] is not None:
            yield start["path"], set(re.findall(r"\w+", found["list"]))
        elif found:  # the word of before capabilities
            yield start["path"], {"deny" if found["policy"] == "deny" else "read"}


def _covers(pattern: str, path: str) -> bool:
    if "{{" in pattern:  # what it stands for depends on who asks
        return False
    glob = pattern.endswith("*")
    text = re.escape(pattern.removesuffix("*")).replace(r"\+", "[^/]+")
    return re.fullmatch(text + (".*" if glob else ""), path) is not None


def _lost(facts: Facts, key: str) -> str | None:
    """Say what brings a secret back, if it is not there (Vault API: KV version 2, "Read secret metadata")."""
    mount, name = facts.settings.vault.mount, f"{facts.settings.registry.name}/{key}"
    try:
        metadata = facts.servers.vault.get(f"/v1/{mount}/metadata/{name}")["data"]
    except AnswerError as error:
        if error.status != 404:
            raise
        return _made_again(facts, key)
    version = str(metadata["current_version"])
    newest = metadata["versions"].get(version, {"destroyed": True})
    if newest["destroyed"]:
        if key == "jwks":
            return _made_again(facts, key)
        # The provider does not see that a version is gone, only that the whole secret is.
        return f"{facts.vault('kv metadata delete', f'-mount={mount} {name}')}\n{_made_again(facts, key)}"
    if newest["deletion_time"]:
        return facts.vault("kv undelete", f"-mount={mount} -versions={version} {name}")
    return None


def _made_again(facts: Facts, key: str) -> str:
    """Say what writes a secret that is gone; the keys are written by a job, and Pulumi does not read them."""
    return facts.ops("keys refresh") if key == "jwks" else facts.up
