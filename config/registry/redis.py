"""The `redis` section, whose layout is another one in 3.x: flat, several addresses, TLS."""

from typing import Annotated

from config.registry.section import NEEDS_3, Section, removed
from config.registry.values import Address, Count, Duration, SignedDuration, Text

# go-redis reads -1ns as "no timeout" or "never", so its durations may be negative.
GoRedisDuration = SignedDuration


class Pool(Section):
    """Connections that 2.x keeps open."""

    maxidle: Count | None = None
    maxactive: Count | None = None
    idletimeout: Duration | None = None


class RedisTls(Section):
    """Client certificate and authorities; paths in the container. There is no `enabled`."""

    certificate: Text | None = None
    key: Text | None = None
    rootcas: list[Text] | None = None


class Redis(Section):
    """The server that keeps the blob descriptor cache."""

    password: Text | None = None
    db: Count | None = None
    dialtimeout: GoRedisDuration | None = None
    readtimeout: GoRedisDuration | None = None
    writetimeout: GoRedisDuration | None = None
    addr: Annotated[Address | None, removed("it is the 2.x layout, use addrs, a list of HOST:PORT")] = None
    pool: Annotated[
        Pool | None, removed("it is the 2.x layout, use maxidleconns, maxactiveconns and connmaxidletime")
    ] = None
    addrs: Annotated[list[Address] | None, NEEDS_3] = None
    clientname: Annotated[Text | None, NEEDS_3] = None
    protocol: Annotated[int | None, NEEDS_3] = None
    username: Annotated[Text | None, NEEDS_3] = None
    sentinelusername: Annotated[Text | None, NEEDS_3] = None
    sentinelpassword: Annotated[Text | None, NEEDS_3] = None
    mastername: Annotated[Text | None, NEEDS_3] = None
    maxretries: Annotated[int | None, NEEDS_3] = None
    minretrybackoff: Annotated[GoRedisDuration | None, NEEDS_3] = None
    maxretrybackoff: Annotated[GoRedisDuration | None, NEEDS_3] = None
    contexttimeoutenabled: Annotated[bool | None, NEEDS_3] = None
    poolfifo: Annotated[bool | None, NEEDS_3] = None
    poolsize: Annotated[Count | None, NEEDS_3] = None
    pooltimeout: Annotated[GoRedisDuration | None, NEEDS_3] = None
    minidleconns: Annotated[Count | None, NEEDS_3] = None
    maxidleconns: Annotated[Count | None, NEEDS_3] = None
    maxactiveconns: Annotated[Count | None, NEEDS_3] = None
    connmaxidletime: Annotated[GoRedisDuration | None, NEEDS_3] = None
    connmaxlifetime: Annotated[GoRedisDuration | None, NEEDS_3] = None
    maxredirects: Annotated[int | None, NEEDS_3] = None
    readonly: Annotated[bool | None, NEEDS_3] = None
    routebylatency: Annotated[bool | None, NEEDS_3] = None
    routerandomly: Annotated[bool | None, NEEDS_3] = None
    disableidentity: Annotated[bool | None, NEEDS_3] = None
    identitysuffix: Annotated[Text | None, NEEDS_3] = None
    unstableresp3: Annotated[bool | None, NEEDS_3] = None
    tls: Annotated[RedisTls | None, NEEDS_3] = None
