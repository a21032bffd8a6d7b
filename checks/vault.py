"""Whether Vault is open, has what the program relies on, and gives the token the rights that it needs."""

import json
import re
from collections.abc import Mapping
from typing import Any

from checks.errors import AnswerError
from checks.servers import Server
from checks.vault_rights import needed_rights
from config.settings import Settings


def problems(settings: Settings, vault: Server) -> list[str]:
    """List what stands in the way. Raises CheckError when Vault cannot be asked."""
    # Ask for 200 in every state, since the answer tells which one it is.
    codes = {"standbycode": 200, "sealedcode": 200, "uninitcode": 200, "performancestandbycode": 200}
    health = vault.get("/v1/sys/health", **codes)
    if not health["initialized"]:
        return [f"Vault at {vault.address} is not initialised: `vault operator init`"]
    if health["sealed"]:
        return [f"Vault at {vault.address} is sealed: `vault operator unseal`"]
    if found := _version(settings, vault, health.get("version") or ""):
        return found
    if settings.providers.vault_logs_in:
        return []  # the provider's own token is not known here, and this one has nothing to do with it
    if not vault.has_token:
        return [
            f"no token for Vault at {vault.address}: set it with "
            f"`pulumi config set --secret {vault.token_setting}`, or VAULT_TOKEN"
        ]
    # Without rights Vault does not show what is mounted either.
    return _rights(settings, vault) or [
        *_secret_engine(settings, vault),
        *_login_backend(settings, vault),
        *_authority(settings, vault),
        *_issuer(settings, vault),
    ]


def _version(settings: Settings, vault: Server, version: str) -> list[str]:
    """Compare it with the first that has JSON pointers in JWT roles and issuers in PKI engines, 1.11.

    OpenBao, which has both, began with 2.0.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if not numbers or numbers >= (1, 11):
        return []
    running, found = f"Vault at {vault.address} is {version}", []
    if settings.vault.identity == "workload":
        found.append(f"{running}, and vault.identity workload needs 1.11: set vault.identity to policies")
    if settings.makes_authority:
        found.append(f"{running}, and an authority of its own needs 1.11: set tls.authority.role")
    return found


def _rights(settings: Settings, vault: Server) -> list[str]:
    needed = needed_rights(settings)
    try:
        granted = vault.post("/v1/sys/capabilities-self", {"paths": sorted(needed)})["data"]
    except AnswerError as error:
        if error.status == 403:
            return [
                f"Vault at {vault.address} does not accept the token in {vault.token_setting} "
                "(wrong, expired, or without the default policy): make a new one"
            ]
        raise
    missing = {
        path: rights
        for path, rights in needed.items()
        if "root" not in granted[path] and not rights <= set(granted[path])
    }
    if not missing:
        return []
    advice = ""
    if "auth/token/create" in missing:
        advice = (
            "\n(auth/token/create is for the provider's own short-lived token; "
            "without that right set vault:skipChildToken)"
        )
    return [
        f"the token in {vault.token_setting} lacks rights at Vault at {vault.address}; its policy needs:\n"
        f"{_stanzas(missing)}\n(docs/policies/vault.hcl has all){advice}"
    ]


def _stanzas(rights: Mapping[str, set[str]]) -> str:
    return "\n".join(
        f'path "{path}" {{\n  capabilities = {json.dumps(sorted(capabilities))}\n}}'
        for path, capabilities in sorted(rights.items())
    )


def _secret_engine(settings: Settings, vault: Server) -> list[str]:
    mount = settings.vault.mount
    engine = _mount(vault, mount)
    if engine is None:
        return [
            f"Vault at {vault.address} has no secret engine at {mount}/, or the token may not see it: "
            f"`vault secrets enable -path={mount} kv-v2`, or set vault.mount"
        ]
    if engine["type"] != "kv" or (engine["options"] or {}).get("version") != "2":
        return [
            f"the secret engine at {mount}/ of Vault at {vault.address} is no KV version 2: set vault.mount "
            f"to one, or for a KV version 1 `vault kv enable-versioning {mount}`"
        ]
    return []


def _login_backend(settings: Settings, vault: Server) -> list[str]:
    workload = settings.vault.workload
    if settings.vault.identity != "workload" or workload.create_backend:
        return []
    if _mount(vault, f"auth/{workload.backend}"):
        return []
    return [
        f"Vault at {vault.address} has no auth backend at {workload.backend}/, or the token may not see it: "
        "`nomad setup vault` makes one, or set vault.workload.createBackend to true"
    ]


def _authority(settings: Settings, vault: Server) -> list[str]:
    """Look for a certificate authority that is to be there already, or that is in the way of our own."""
    mount, role = settings.pki_mount, settings.pki_role
    if settings.tls.mode != "registry":
        return []
    engine = _mount(vault, mount)
    if settings.makes_authority:
        if engine is None or engine["description"] == settings.pki_description:
            return []
        return [
            f"Vault at {vault.address} has an engine at {mount}/ that is not this stack's: set "
            "tls.authority.role to use its role, or tls.authority.mount to a path where there is none"
        ]
    if engine is None or engine["type"] != "pki":
        return [
            f"Vault at {vault.address} has no PKI engine at {mount}/, or the token may not see it: "
            "set tls.authority.mount to one, or leave tls.authority out, and one is made"
        ]
    try:
        vault.get(f"/v1/{mount}/roles/{role}")
    except AnswerError as error:
        if error.status == 404:
            return [
                f"the PKI engine at {mount}/ of Vault at {vault.address} has no role {role}: "
                "set tls.authority.role to one that issues certificates for "
                + ", ".join(settings.certificate_names)
            ]
        if error.status != 403:  # a deploy needs no right to read the role
            raise
    return []


def _issuer(settings: Settings, vault: Server) -> list[str]:
    """Compare the issuer that the registry expects in tokens with the one that Vault writes into them."""
    if settings.auth.mode != "vault":
        return []
    issuer: str = vault.get("/v1/identity/oidc/.well-known/openid-configuration")["issuer"]
    if issuer == settings.token_issuer:
        return []
    return [
        f"Vault at {vault.address} signs tokens as {issuer}, and the registry would expect "
        f"{settings.token_issuer}: set auth.issuer to {issuer.removesuffix('/v1/identity/oidc')}"
    ]


def _mount(vault: Server, path: str) -> Mapping[str, Any] | None:
    """Describe an engine or a backend; 403 is also Vault's word for one that is not there."""
    try:
        data: Mapping[str, Any] = vault.get(f"/v1/sys/internal/ui/mounts/{path}")["data"]
    except AnswerError as error:
        if error.status in (400, 403, 404):
            return None
        raise
    return data
