"""How the registry knows its clients: the `auth` section of config.yml and the file that it names."""

from typing import Any, get_args

from config.sections.auth import Algorithm
from config.settings import Settings
from jobs.config_template import htpasswd_template, literal

HTPASSWD_FILE, KEY_SET_FILE, KEY_BUNDLE_FILE = "/secrets/htpasswd", "/secrets/jwks.json", "/secrets/keys.pem"
# Vault's identity keys sign with it; what signs with a shared secret is never accepted.
TOKEN_ALGORITHM = "ES256"  # noqa: S105 - the name of an algorithm


def auth_section(settings: Settings) -> dict[str, Any]:
    """Write the section for the stack's auth mode; empty for mode none."""
    hostname, external = settings.registry.hostname, settings.auth.external
    if settings.auth.mode == "htpasswd":
        return {"htpasswd": {"realm": hostname, "path": HTPASSWD_FILE}}
    if settings.auth.mode == "vault":
        token: dict[str, Any] = {
            # Vault is no token server: clients bring their token. One without is sent here, to the registry's
            # own 401, which docker takes for final; at that of /v2/, which has no detail, it tries for 50 s.
            # Not to Vault: crane 0.22 refuses a realm at a private address, or with http after https.
            "realm": f"{settings.registry_url}/v2/_catalog",
            "service": hostname,
            "issuer": settings.token_issuer,
            "jwks": KEY_SET_FILE,
            "signingalgorithms": [TOKEN_ALGORITHM],
        }
        return {"token": token}
    if external:
        token = {"realm": external.realm, "service": external.service, "issuer": external.issuer}
        token |= {"jwks": KEY_SET_FILE} if external.jwks else {"rootcertbundle": KEY_BUNDLE_FILE}
        if settings.registry_version == "3":
            token["signingalgorithms"] = list(external.signing_algorithms or get_args(Algorithm))
        return {"token": token}
    return {}


def auth_file(settings: Settings, *, users_path: str | None, jwks_path: str | None) -> tuple[str, str] | None:
    """Give path and template of the file that the section names; the paths are Vault's (KV v2 API)."""
    external = settings.auth.external
    if users_path:
        return HTPASSWD_FILE, htpasswd_template(users_path)
    if jwks_path:
        return KEY_SET_FILE, f'{{{{ with secret "{jwks_path}" }}}}{{{{ .Data.data.jwks }}}}{{{{ end }}}}'
    if external and external.jwks:
        return KEY_SET_FILE, literal(external.jwks)
    if external and external.root_cert_bundle:
        return KEY_BUNDLE_FILE, literal(external.root_cert_bundle)
    return None
