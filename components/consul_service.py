"""Consul's defaults for the registry's service."""

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_consul as consul


@dataclass(frozen=True, kw_only=True)
class ConsulServiceArgs:
    """A service and the protocol that it speaks."""

    service: str
    protocol: Literal["tcp", "http", "http2", "grpc"]


class ConsulService(pulumi.ComponentResource):
    """Writes the service's service-defaults before the job registers the service.

    Protocol `tcp`: with `http` Envoy ends each request after 15 s (consul #6382) and pushes of big layers
    break. The entry acts on traffic inside a service mesh only.

    Produces: a ConfigEntryServiceDefaults.
    """

    service: pulumi.Output[str]
    """Name that the job registers; known at preview."""

    def __init__(
        self, name: str, args: ConsulServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("homelab:registry:ConsulService", name, None, opts)
        defaults = consul.ConfigEntryServiceDefaults(
            f"{name}-defaults",
            name=args.service,
            protocol=args.protocol,
            # The server fills these in; unless all are written, every preview shows a change (terraform
            # consul #281).
            exposes=[{"checks": False, "paths": []}],
            mesh_gateways=[{"mode": ""}],
            transparent_proxies=[{"dialed_directly": False, "outbound_listener_port": 0}],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.service = defaults.name
        self.register_outputs({"service": self.service})
