"""Where Nomad, Consul and Vault are: the providers' own configuration, read the way the providers read it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from config.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One server's API: address with scheme, token, and how TLS to it is checked."""

    name: str
    setting: str
    address: str
    token: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    skip_verify: bool = False

    def __repr__(self) -> str:
        return f"Endpoint({self.name} at {self.address})"  # the token stays out of logs and tracebacks


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """A provider's configuration keys and the environment variables it falls back to."""

    name: str
    address: tuple[str, str]
    token: tuple[str, str]
    ca_file: tuple[str, str]
    cert_file: tuple[str, str]
    key_file: tuple[str, str]
    skip_verify: tuple[str, str]
    example: str


# Source: the configuration references of pulumi-nomad 2.6, pulumi-consul 3.15 and pulumi-vault 7.14.
NOMAD = _Keys(
    name="Nomad",
    address=("nomad:address", "NOMAD_ADDR"),
    token=("nomad:secretId", "NOMAD_TOKEN"),
    ca_file=("nomad:caFile", "NOMAD_CACERT"),
    cert_file=("nomad:certFile", "NOMAD_CLIENT_CERT"),
    key_file=("nomad:keyFile", "NOMAD_CLIENT_KEY"),
    skip_verify=("nomad:skipVerify", "NOMAD_SKIP_VERIFY"),
    example="http://nas.homelab.local:4646",
)
CONSUL = _Keys(
    name="Consul",
    address=("consul:address", "CONSUL_HTTP_ADDR"),
    token=("consul:token", "CONSUL_HTTP_TOKEN"),
    ca_file=("consul:caFile", "CONSUL_CACERT"),
    cert_file=("consul:certFile", "CONSUL_CLIENT_CERT"),
    key_file=("consul:keyFile", "CONSUL_CLIENT_KEY"),
    skip_verify=("consul:insecureHttps", "CONSUL_HTTP_SSL_SKIP"),
    example="nas.homelab.local:8500",
)
VAULT = _Keys(
    name="Vault",
    address=("vault:address", "VAULT_ADDR"),
    token=("vault:token", "VAULT_TOKEN"),
    ca_file=("vault:caCertFile", "VAULT_CACERT"),
    cert_file=("vault:certFile", "VAULT_CLIENT_CERT"),
    key_file=("vault:keyFile", "VAULT_CLIENT_KEY"),
    skip_verify=("vault:skipTlsVerify", "VAULT_SKIP_VERIFY"),
    example="https://vault.homelab.local:8200",
)
# Keys that the program reads and that are no secrets: jobs have the addresses, and messages name the files.
IN_CLEAR = frozenset(
    key
    for keys in (NOMAD, CONSUL, VAULT)
    for key, _ in (keys.address, keys.ca_file, keys.cert_file, keys.key_file, keys.skip_verify)
) | {"consul:scheme", "vault:skipChildToken"}
# A name, as machines and containers have them, or an IPv4 or IPv6 address.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.%]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Providers:
    """The three servers that the program talks to."""

    nomad: Endpoint
    consul: Endpoint
    vault: Endpoint
    vault_logs_in: bool  # the Vault provider gets its own token (vault:authLogin…), so we have none to check
    vault_makes_child_token: bool  # the Vault provider works with a short-lived child of the token

    @classmethod
    def read(cls, config: Mapping[str, str], env: Mapping[str, str]) -> tuple[Self | None, list[Problem]]:
        """Read the providers' keys from the whole stack configuration, else from the environment."""
        problems: list[Problem] = []
        endpoints = [endpoint(keys, config, env, problems) for keys in (NOMAD, CONSUL, VAULT)]
        nomad, consul, vault = endpoints
        if nomad is None or consul is None or vault is None:
            return None, problems
        logs_in = any(key.startswith("vault:authLogin") for key in config)
        skips = config.get("vault:skipChildToken") or env.get("TERRAFORM_VAULT_SKIP_CHILD_TOKEN") or ""
        return cls(
            nomad=nomad,
            consul=consul,
            vault=vault,
            vault_logs_in=logs_in,
            vault_makes_child_token=skips.lower() not in ("1", "true"),
        ), problems


def deployed_endpoint(package: str, inputs: Mapping[str, Any], env: Mapping[str, str]) -> Endpoint | None:
    """Read what a provider was told at the last deploy; None if it is none of the three, or was told nothing.

    `inputs` are the provider's, as the state has them.
    """
    keys = {"nomad": NOMAD, "consul": CONSUL, "vault": VAULT}.get(package)
    config = {f"{package}:{key}": str(value) for key, value in inputs.items()}
    return endpoint(keys, config, env, []) if keys else None


def endpoint(
    keys: _Keys, config: Mapping[str, str], env: Mapping[str, str], problems: list[Problem]
) -> Endpoint | None:
    """Read one provider's keys; what is wrong is added to `problems`."""

    def read(names: tuple[str, str]) -> str | None:
        return config.get(names[0]) or env.get(names[1]) or None

    setting, variable = keys.address
    address = read(keys.address)
    if address is None:
        problems.append(
            Problem(
                setting, f"the address of {keys.name} is missing: set it, or {variable}, as {keys.example}"
            )
        )
        return None
    if keys is CONSUL and "://" not in address:  # Nomad's and Vault's clients need the scheme
        address = f"{config.get('consul:scheme') or 'http'}://{address}"
    if reason := _wrong_address(keys, address):
        problems.append(Problem(setting, f"{reason}; write it as {keys.example}"))
        return None
    return Endpoint(
        name=keys.name,
        setting=setting,
        address=address.rstrip("/"),
        token=read(keys.token),
        ca_file=read(keys.ca_file),
        cert_file=read(keys.cert_file),
        key_file=read(keys.key_file),
        skip_verify=(read(keys.skip_verify) or "").lower() in ("1", "true"),
    )


def _wrong_address(keys: _Keys, address: str) -> str | None:
    """Say why the provider could not use an address, without a password that is in it."""
    try:
        url = urlsplit(address)
        host, port = url.hostname or "", url.port
    except ValueError:  # the port is no number, or more than 65535
        host, port, url = "", 0, urlsplit("")
    if "@" in address:
        return f"has a user in it, and {keys.name} takes a token: set {keys.token[0]}"
    is_url = url.scheme in ("http", "https") and port != 0 and _HOST.fullmatch(host)
    if not is_url or re.search(r"\s", address):  # urlsplit takes a line's end
        return f"{address!r} is no address"
    # Nomad's client drops a path (nomad/api, newRequest); others may be behind a proxy that has one.
    first = url.path.strip("/").split("/")[0]
    if not re.fullmatch(r"[\w.~/-]*", url.path, re.ASCII):  # jobs have it, and Nomad would read a ${ in it
        return f"{address!r} has a path with other characters than letters, digits and ._~-"
    if (first and keys is NOMAD) or first in ("ui", "v1") or url.query or url.fragment:
        return f"{address!r} is no address of the API, but of a page: it ends with the port"
    return None
