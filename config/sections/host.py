"""A machine that is reached by SSH."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from config.sections.base import Hostname, Port, SecretText, Section, Text


def _host_key(value: str) -> str:
    if (
        not re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?", value)
        or not value.isprintable()
    ):
        raise ValueError("is no SSH host key; `ssh-keyscan HOST` prints it, without the host name")
    return value


class Host(Section):
    """A machine and the way to log in to it."""

    address: Hostname | ipaddress.IPv4Address | ipaddress.IPv6Address = Field(
        description="Host name or address for SSH."
    )
    port: Port = Field(22, description="SSH port.")
    user: Text = Field("root", description="User to log in as.")
    host_key: Annotated[str, AfterValidator(_host_key)] = Field(
        description="The host's public key as `ssh-keyscan` prints it; another key is refused."
    )
    private_key: SecretText | None = Field(
        None, description="Private key (a secret); without it the SSH agent is asked."
    )
