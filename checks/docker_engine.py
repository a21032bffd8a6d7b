"""The Docker engine of this machine, asked by its API (Docker Engine API: System)."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from checks.errors import CheckError

_SOCKET = "/var/run/docker.sock"
_TIMEOUT = httpx.Timeout(30, connect=3)  # seconds; a busy engine takes its time


def engine_info(env: Mapping[str, str]) -> Mapping[str, Any]:
    """Ask the engine of DOCKER_HOST. Raises CheckError if there is none on this machine."""
    host = env.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    if not host.startswith("unix://"):
        raise CheckError(f"Docker's engine is not on this machine (DOCKER_HOST is {host})")
    transport = httpx.HTTPTransport(uds=host.removeprefix("unix://"), verify=False)  # there is no TLS
    try:
        with httpx.Client(transport=transport, timeout=_TIMEOUT) as client:
            found: Mapping[str, Any] = client.get("http://docker/info").raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise CheckError(f"no Docker engine answers at {host}: {error}") from None
    return found


def takes_unverified(info: Mapping[str, Any], address: str, resolved: Sequence[str]) -> bool:
    """Whether the engine asks for no certificate at an address (moby, registry/config.go: isSecureIndex).

    That is so for an entry of `insecure-registries`, and for what resolves to a loopback address.
    """
    config = info["RegistryConfig"]
    named = config["IndexConfigs"].get(address)
    if named:
        return not named["Secure"]
    networks = [ipaddress.ip_network(each) for each in config["InsecureRegistryCIDRs"] or ()]
    return any(ipaddress.ip_address(each) in network for each in resolved for network in networks)
