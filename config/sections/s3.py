"""Section `storage.s3`: the bucket that keeps the images."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from config.sections.base import SecretText, Section


def is_own_loopback(host: str) -> bool:
    """Whether a container would look for this host in itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _endpoint(value: str) -> str:
    form = "write it like https://s3.homelab.local:8333"
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(f"is no URL; {form}") from None
    if url.username is not None or url.password is not None:
        raise ValueError(f"has a user in it: keys are accessKey and secretKey; {form}")
    if url.scheme not in ("http", "https") or not host or re.search(r"\s", value):
        raise ValueError(f"{{value}} is no URL; {form}")
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError(f"{{value}} has a path: the bucket is storage.s3.bucket; {form}")
    if is_own_loopback(host):
        raise ValueError("{value} is the container itself there; name the server by an address of its own")
    return value.rstrip("/")


class S3(Section):
    """A bucket of S3, or of a server that speaks its protocol."""

    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Name of the bucket, which has to be there.",
    )
    region: str = Field(
        pattern=r"^[a-z0-9-]+$", description="Region of the bucket; any word will do for most other servers."
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None, description="URL of the server, if it is not Amazon's."
    )
    path_style: bool | None = Field(
        None,
        description="Ask for https://server/bucket, not https://bucket.server; by default with an endpoint.",
    )
    access_key: SecretText | None = Field(
        None, min_length=1, description="Access key; without one the machine's own role is used."
    )
    secret_key: SecretText | None = Field(None, min_length=1, description="Its secret key (a secret).")
    prefix: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
        description="Folder in the bucket, if it is not for the registry alone.",
    )
    redirect: bool = Field(
        False,
        description="Send clients that pull a layer to the bucket itself: they must reach it, and trust its "
        "certificate.",
    )

    @property
    def uses_path_style(self) -> bool:
        """Whether the bucket is in the path of URLs, and not in their host name."""
        return self.endpoint is not None if self.path_style is None else self.path_style
