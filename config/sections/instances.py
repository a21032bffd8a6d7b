"""What the registry needs to run as several instances: a shared cache, and bounds for an autoscaler."""

from typing import Annotated

from pydantic import AfterValidator, Field

from config.registry import is_address
from config.sections.base import SecretText, Section
from config.sections.s3 import is_own_loopback


def _redis_address(value: str) -> str:
    host = value.rpartition(":")[0].strip("[]")
    if not is_address(value) or not host:
        raise ValueError("{value} is no address; write it like redis.homelab.local:6379")
    if is_own_loopback(host):
        raise ValueError("{value} is the container itself there; name the server by an address of its own")
    return value


class Redis(Section):
    """A Redis server that knows for all instances which layers there are."""

    address: Annotated[str, AfterValidator(_redis_address)] = Field(description="Host and port.")
    password: SecretText | None = Field(None, min_length=1, description="Its password (a secret).")


class Scaling(Section):
    """How many instances Nomad's autoscaler may run (Nomad Autoscaler: policy, target-value)."""

    min: int = Field(ge=1, description="Fewest instances.")
    max: int = Field(ge=2, description="Most instances.")
    cpu: int = Field(
        70, ge=10, le=95, description="Share of registry.cpu, in percent, that is aimed at for each."
    )
