"""Section `registry`: the registry itself. Memory is MiB, cpu is MHz as Nomad counts them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.sections.base import Cpu, Hostname, Image, Name, Port, Section, Text, duration_between
from config.sections.instances import Redis, Scaling

DEFAULT_NAME = "docker-registry"
SCRIPT_IMAGE = "python:3.13.16-alpine"
# What else that stack registers in Consul.
_SERVICES = {
    "registry-metrics",
    "registry-drill",
    "registry-scan",
    "registry-exporter",
    "registry-mirrors",
    "registry-mirrors-metrics",
}
_MIRROR = "registry-mirror-"  # goes on with the mirror's name


def _own_name(value: str) -> str:
    if value == "registry" or value in _SERVICES or value.startswith(_MIRROR):
        raise ValueError(f"{{value}} is a service of the stack {DEFAULT_NAME}; take another name")
    return value


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


class Homepage(Section):
    """How the registry shows on a Homepage dashboard; written as Consul tags and as Docker labels."""

    enabled: bool = Field(True, description="Write the Homepage tags and labels.")
    name: Text = Field("Docker Registry", description="Title of the tile.")
    icon: Text = Field("registry.png", description="Icon of the tile.")
    group: Text = Field("DevOps", description="Group that the tile is in.")
    description: Text = Field("Private Docker image repository", description="Text under the title.")


class Registry(Section):
    """The registry itself: its name, image, ports and resources, and its own configuration."""

    name: Annotated[Name, AfterValidator(_own_name)] = Field(
        DEFAULT_NAME,
        description="Nomad job; other stacks on the cluster take their service, router, policy, "
        "Vault path and volume names from it.",
    )
    hostname: Hostname = Field("registry.homelab.local", description="Host name that clients use.")
    image: Image = Field(
        "registry:3", description="Docker image; its tag tells the registry's major version."
    )
    version: Literal[2, 3] | None = Field(
        None, description="Major version of the registry, for an image whose tag does not tell."
    )
    script_image: Image = Field(
        SCRIPT_IMAGE, description="Image with Python, in which the scripts of maintenance and mirrors run."
    )
    port: Port = Field(
        5000, description="Host port of the registry; Nomad chooses those of several instances."
    )
    debug_port: Port = Field(
        5001, description="Host port of metrics and debugging, as well; Traefik never routes it."
    )
    count: int = Field(
        1, ge=1, le=50, description="Instances. More than one need a bucket (storage.driver s3) and a Redis."
    )
    scaling: Scaling | None = Field(
        None, description="Let Nomad's autoscaler choose the number; count is the one at first."
    )
    redis: Redis | None = Field(
        None, description="Redis with what is known of layers; in the registry's memory without it."
    )
    # Traefik asks Consul every 15 s by default (Consul Catalog provider, refreshInterval).
    shutdown_delay: Annotated[str, duration_between("0s", "5m")] = Field(
        "20s",
        description="With several instances: how long one that ends still serves, so that Traefik leaves it "
        "out first; longer than its refreshInterval.",
    )
    cpu: Cpu = Field(500, description="CPU share in MHz; Docker takes no less than 2.")
    memory: int = Field(512, ge=32, description="Memory limit in MiB.")
    datacenters: tuple[Text, ...] = Field(
        ("dc1",), min_length=1, description="Nomad datacenters that the job may run in."
    )
    namespace: str = Field("default", pattern=r"^[a-zA-Z0-9-]{1,128}$", description="Nomad namespace.")
    consul_protocol: Literal["tcp", "http", "http2", "grpc"] = Field(
        "tcp",
        description="Protocol of Consul's service-defaults. With http a mesh ends every request after 15 s, "
        "which breaks pushes of big layers.",
    )
    homepage: Homepage = Field(Homepage(), description="Tile on a Homepage dashboard.")
    config: Annotated[dict[str, Any], BeforeValidator(_none_is_empty)] = Field(
        {}, description="Merged over our defaults of the registry's own config.yml; null removes a key."
    )

    @property
    def is_shared(self) -> bool:
        """Whether several instances serve one store."""
        return self.count > 1 or self.scaling is not None

    @property
    def service(self) -> str:
        """Consul service and Traefik router; the default stack keeps the name that documents use."""
        return "registry" if self.name == DEFAULT_NAME else self.name
