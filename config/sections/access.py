"""Section `access`: from where the registry may be reached, and by whom in the mesh."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from config.sections.base import Section
from config.sections.host import Host


def _cidr(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F.:]+/\d+", value):  # as Go reads it, which Traefik does
        raise ValueError("{value} is no network; write it like 192.168.1.0/24")
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        wrong = str(error).partition("has host bits set")[1]
        hint = f"has host bits set: write {ipaddress.ip_network(value, strict=False)}" if wrong else ""
        raise ValueError(f"{{value}} {hint or 'is no network; write it like 192.168.1.0/24'}") from None
    return value


def _bind(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_-]*", value):
            return value
        raise ValueError(
            "{value} is neither an address like 192.168.1.10 nor the name of a Nomad host network"
        ) from None
    if address.is_unspecified:
        raise ValueError("{value} is every address; name one, or leave the key out")
    return value


def _services_once(services: tuple[str, ...]) -> tuple[str, ...]:
    _require_once(services)  # Consul refuses an intention with a source in it twice
    return services


def _machines_once(hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    # Each has commands of its own, named after both, and both would write one file.
    _require_once([f"{host.address}:{host.port}".lower() for host in hosts])
    return hosts


def _require_once(names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"has {name} twice; remove one")


Cidr = Annotated[str, AfterValidator(_cidr)]
ServiceName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", max_length=128)]


class Access(Section):
    """Limits beside the registry's own authentication."""

    allowed_cidrs: tuple[Cidr, ...] = Field(
        (), description="Networks whose clients Traefik lets through; all by default."
    )
    bind: Annotated[str, AfterValidator(_bind)] | None = Field(
        None, description="Address of the host, or Nomad host network, on which the ports listen."
    )
    allowed_services: Annotated[tuple[ServiceName, ...], AfterValidator(_services_once)] = Field(
        ("traefik",),
        description="Services that Consul's intentions let through in a mesh; others are denied.",
    )
    trusted_hosts: Annotated[tuple[Host, ...], AfterValidator(_machines_once)] = Field(
        (), description="Machines whose Docker is to trust the CA of tls.mode registry; placed by SSH."
    )

    @property
    def bound_address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address in `bind`; None for a host network's name."""
        try:
            return ipaddress.ip_address(self.bind or "")
        except ValueError:
            return None
