"""The `proxy` section, which makes the registry a pull-through cache of another one."""

from typing import Annotated

from config.registry.section import NEEDS_3, Section
from config.registry.values import Duration, Text, Url


class CredentialHelper(Section):
    """A program that speaks the protocol of Docker's credential helpers."""

    command: Text
    lifetime: Duration | None = None


class Proxy(Section):
    """The other registry, how to log in there, and how long what it gave is kept."""

    remoteurl: Url
    username: Text | None = None
    password: Text | None = None
    exec: Annotated[CredentialHelper | None, NEEDS_3] = None
    ttl: Annotated[Duration | None, NEEDS_3] = None  # "0" keeps it for ever
    cachewritetimeout: Annotated[Duration | None, NEEDS_3] = None  # 3.1 and newer
