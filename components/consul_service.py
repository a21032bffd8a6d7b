"""What Consul knows of the registry's service before it runs: its defaults, and who may reach it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import pulumi
import pulumi_consul as consul

from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ConsulServiceArgs:
    """A service, the protocol that it speaks, and the services that may reach it."""

    service: str
    protocol: Literal["tcp", "http", "http2", "grpc"]
    allowed_services: Sequence[str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from a stack's settings."""
        return cls(
            service=settings.registry.service,
            protocol=settings.registry.consul_protocol,
            allowed_services=settings.access.allowed_services,
        )


class ConsulService(pulumi.ComponentResource):
    """Writes the service's service-defaults and intentions before the job registers the service.

    Protocol `tcp`: with `http` Envoy ends each request after 15 s (consul #6382) and pushes of big layers
    break. Both entries act on traffic inside a service mesh only: without a sidecar beside the registry,
    whoever reaches its port reaches it.

    Produces: a ConfigEntryServiceDefaults and a ConfigEntryServiceIntentions.
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
        consul.ConfigEntryServiceIntentions(
            f"{name}-intentions",
            name=args.service,
            # Consul chooses precedence and order; unless they are written, every preview shows a change.
            sources=[
                *(_source(allowed, "allow", precedence=9) for allowed in sorted(set(args.allowed_services))),
                _source("*", "deny", precedence=8),
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[defaults]),
        )
        self.service = defaults.name
        self.register_outputs({"service": self.service})


def _source(name: str, action: Literal["allow", "deny"], precedence: int) -> dict[str, object]:
    return {"name": name, "action": action, "type": "consul", "precedence": precedence}
