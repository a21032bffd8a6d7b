"""Requests by a proxy of the environment, but for those to this machine and to private networks."""

import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from checks.errors import CheckError


class EnvironmentTransport(httpx.BaseTransport):
    """Sends each request as the environment says for its address; for httpx.Client's `transport`.

    Raises CheckError for a proxy of another kind than HTTP.
    """

    def __init__(
        self, *, verify: ssl.SSLContext | bool = True, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._verify, self._environment = verify, environment
        self._transports: dict[str | None, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the transport for its address."""
        proxy = proxy_for(request.url, self._environment)
        if proxy not in self._transports:
            self._transports[proxy] = httpx.HTTPTransport(verify=self._verify, proxy=proxy)
        return self._transports[proxy].handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            transport.close()


def proxy_for(url: httpx.URL, environment: Mapping[str, str]) -> str | None:
    """Name the proxy for a URL; None is a direct connection.

    The variables are read as Go's clients do (golang.org/x/net/http/httpproxy), so ALL_PROXY is not.
    """
    name = f"{url.scheme.upper()}_PROXY"
    proxy = environment.get(name) or environment.get(name.lower())
    if not proxy or _is_excepted(url, environment) or _is_near(url.host):
        return None
    address = proxy if "://" in proxy else f"http://{proxy}"
    if not address.startswith(("http://", "https://")):
        raise CheckError(f"{name} is no HTTP proxy: set NO_PROXY to {url.host}, or another {name}")
    return address


def _is_excepted(url: httpx.URL, environment: Mapping[str, str]) -> bool:
    """Whether NO_PROXY has it: `*`, an address, a network, or a domain, each but `*` with a port or none."""
    written = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    for entry in (each.strip().lower() for each in written.split(",")):
        name, _, number = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if number and number != str(port):
            continue
        if name == "*" or (name and _fits(url.host, name)):
            return True
    return False


def _fits(host: str, name: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name.strip("[]"), strict=False)
    except ValueError:
        domain = name.removeprefix("*")
        return host.endswith(domain if domain.startswith(".") else f".{domain}") or host == domain


@cache
def _is_near(host: str) -> bool:
    """Whether no address of a host is of the internet: loopback, a private network, a VPN's 100.64.0.0/10."""
    if host == "localhost":
        return True
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False  # the proxy may know it
    addresses = [ipaddress.ip_address(each.partition("%")[0]) for each in found]
    return not any(each.is_global for each in addresses)
