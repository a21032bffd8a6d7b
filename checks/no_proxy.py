"""Hosts that a program which we start is to reach without a proxy of the environment."""

from collections.abc import Mapping

LOOPBACK = ("127.0.0.1", "localhost")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def no_proxy(environment: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """Give NO_PROXY with these hosts added, in both spellings; nothing where there is no proxy.

    Python's gRPC, by which a program talks to Pulumi's engine on loopback, asks a proxy otherwise.
    """
    names = [spelled for name in _PROXIES for spelled in (name, name.lower())]
    if not any(environment.get(name) for name in names):
        return {}
    written = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    entries = ",".join(dict.fromkeys([*filter(None, written.split(",")), *hosts]))
    return {"NO_PROXY": entries, "no_proxy": entries}
