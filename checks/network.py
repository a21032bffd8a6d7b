"""On which of the addresses of Nomad's clients the registry's ports listen."""

import ipaddress
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from checks.errors import CheckError
from checks.servers import Server
from config.settings import Settings

_DEFAULT = "default"  # Nomad's name for the network that a port gets if it names none


def host_network(nomad: Server, settings: Settings) -> str | None:
    """Find the Nomad host network that `access.bind` means; None for the default one.

    Raises CheckError, with the stanza to add, if no ready client that may run the registry offers it.
    """
    bind = settings.access.bind
    if bind is None or bind == _DEFAULT:
        return None
    clients = _clients(nomad, settings)
    address = settings.access.bound_address
    wanted = bind if address is None else str(address)
    for client in clients:
        for alias, found in _listening(client):
            if wanted in (alias, found):
                if address:
                    _require_alone(clients, alias, wanted)
                return None if alias == _DEFAULT else alias
    raise CheckError(_what_to_do(nomad, settings, clients))


def _require_alone(clients: list[Mapping[str, Any]], alias: str, address: str) -> None:
    """Refuse an address whose network another client has too: Nomad knows only the network."""
    for client in clients:
        other = dict(_listening(client)).get(alias, address)
        if other != address:
            raise CheckError(
                f"docker-registry:access.bind is {address}, which is Nomad's host network {alias}, and on "
                f"{client['Name']}, which may run the registry too, that is {other}: give the network at "
                f"{address} a name of its own in that client's configuration (host_network)"
            )


def _clients(nomad: Server, settings: Settings) -> list[Mapping[str, Any]]:
    """List the clients that may run the registry: those with its volume, if it has one and they are there."""
    there = [
        node
        for node in nomad.get("/v1/nodes", resources="true")
        if node["Status"] == "ready"
        and any(fnmatchcase(node["Datacenter"], pattern) for pattern in settings.registry.datacenters)
    ]
    if not settings.on_volume:
        return there
    return [node for node in there if settings.volume in (node["HostVolumes"] or {})] or there


def _listening(client: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each host network of a client with the address that a port of it gets.

    A network may have several addresses; Nomad takes the first one where the port is free.
    """
    seen = set()
    for network in client["NodeResources"]["NodeNetworks"]:
        for each in network["Addresses"] or ():
            if each["Alias"] not in seen:
                seen.add(each["Alias"])
                yield each["Alias"], each["Address"]


def _what_to_do(nomad: Server, settings: Settings, clients: list[Mapping[str, Any]]) -> str:
    bind = settings.access.bind
    offered = "; ".join(
        f"{client['Name']} has " + ", ".join(f"{alias} ({address})" for alias, address in _listening(client))
        for client in clients
    )
    return (
        f"no client of Nomad at {nomad.address} that may run the registry has a host network {bind} "
        f"(docker-registry:access.bind): {offered or 'there is none that is ready'}.\n"
        "Name one of these, or add this to the configuration of the Nomad client, restart Nomad there, "
        f"and run `pulumi up` again:\n\n{_stanza(settings)}"
    )


def _stanza(settings: Settings) -> str:
    address = settings.access.bound_address
    if address is None:
        name, network = settings.access.bind, "192.168.1.10/32"
    else:
        name = "loopback" if address.is_loopback else settings.registry.service
        network = str(ipaddress.ip_network(address))
    return f'client {{\n  host_network "{name}" {{\n    cidr = "{network}"\n  }}\n}}'
