"""Section `mirrors`: pull-through caches of other registries. Memory is MiB, cpu is MHz as Nomad counts."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, RootModel

from config.registry import go_duration
from config.sections.base import Cpu, Hostname, Name, Port, SecretText, Section

DOCKER_HUB = "https://registry-1.docker.io"
# Other names of Docker Hub. Some answer as a registry, but clients know only images of docker.io.
_DOCKER_HUB_TOO = re.compile(
    r"(?:.*\.)?docker\.io|(?:(?:www|hub|index|cloud|store|registry\.hub)\.)?docker\.com"
)
_UNITS = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _upstream(value: str) -> str:
    form = f"write it like {DOCKER_HUB}"
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(f"is no URL of a registry; {form}") from None
    if url.username is not None or url.password is not None:
        raise ValueError("has a user in it: give username and password as keys of their own")
    if url.scheme not in ("http", "https") or not host or re.search(r"\s", value):
        raise ValueError(f"{{value}} is no URL of a registry; {form}")
    if url.path.strip("/") or "?" in value or "#" in value:
        raise ValueError(f"{{value}} has a path, and a registry is mirrored as a whole; {form}")
    upstream = normal_upstream(value)
    if upstream != DOCKER_HUB and _DOCKER_HUB_TOO.fullmatch(host.rstrip(".")):
        raise ValueError(f"{{value}} is Docker Hub by another name; its registry is {DOCKER_HUB}")
    return upstream


def normal_upstream(value: str) -> str:
    """Write a registry's URL in one way, so that two of one registry are equal."""
    url = value.rstrip("/").lower()
    return re.sub(r"^(https://[^/]*):443$|^(http://[^/]*):80$", r"\1\2", url)


def _ttl(value: str) -> str:
    try:
        length = go_duration(value)
    except ValueError:
        length = -1
    if length < 0:
        raise ValueError("{value} is no duration; write it like 168h, or 0 for no end")
    return value


def bytes_of(value: str) -> int:
    """Read a size like 20GiB, in bytes. Raises ValueError."""
    if not re.fullmatch(r"[1-9]\d*(MiB|GiB|TiB)", value):
        raise ValueError("{value} is no size; write it like 20GiB")
    return int(value[:-3]) * _UNITS[value[-3:]]


def _size(value: str) -> str:
    bytes_of(value)
    return value


class Mirror(Section):
    """A pull-through cache of one registry."""

    name: Name = Field(description="Name of the Nomad task group, and of the directory with what it caches.")
    upstream: Annotated[str, AfterValidator(_upstream)] = Field(
        description=f"URL of the registry that it mirrors; Docker Hub's is {DOCKER_HUB}."
    )
    hostname: Hostname | None = Field(
        None, description="Host name at Traefik; by default the mirror's name before registry.hostname."
    )
    port: Port = Field(description="Host port.")
    auth: Literal["same", "none"] = Field(
        "same",
        description="same: clients log in as at the registry. none: everybody may pull. dockerd, and with it "
        "Nomad, cannot log in at a mirror, so that they need none.",
    )
    ttl: Annotated[str, AfterValidator(_ttl)] = Field(
        "168h", description="How long an image is kept; 0 keeps it for ever (3.x: 2.x knows 168h only)."
    )
    username: SecretText | None = Field(None, min_length=1, description="User at the upstream.")
    password: SecretText | None = Field(None, min_length=1, description="Its password or token (a secret).")
    max_size: Annotated[str, AfterValidator(_size)] | None = Field(
        None, description="Size above which images are removed, least recently used first, as 20GiB."
    )
    cpu: Cpu = Field(200, description="CPU share in MHz; Docker takes no less than 2.")
    memory: int = Field(256, ge=32, description="Memory limit in MiB.")

    @property
    def limit(self) -> int | None:
        """The greatest size in bytes."""
        return None if self.max_size is None else bytes_of(self.max_size)


class Mirrors(RootModel[tuple[Mirror, ...]]):
    """Pull-through caches of other registries."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, strict=True)

    root: tuple[Mirror, ...] = ()
