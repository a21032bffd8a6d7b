"""The `health` section: checks that turn every answer into 503 while they fail."""

from typing import Annotated

from config.registry.section import Section
from config.registry.values import Address, Count, Duration, Headers, Text, Url, at_least

# A check reads the disk or asks a server each time: with nanoseconds it would do nothing else.
Interval = Annotated[Duration, at_least("1s")]


class StorageDriverCheck(Section):
    """Looks at the storage driver's root every `interval`."""

    enabled: bool
    interval: Interval | None = None
    threshold: Count | None = None  # failures in a row before the registry counts as ill


class FileCheck(Section):
    """Fails while the file exists."""

    file: Text
    interval: Interval | None = None


class HttpCheck(Section):
    """Fails unless the URL answers with `statuscode`, 200 by default."""

    uri: Url
    headers: Headers | None = None
    statuscode: Count | None = None
    timeout: Duration | None = None
    interval: Interval | None = None
    threshold: Count | None = None


class TcpCheck(Section):
    """Fails unless the address takes connections."""

    addr: Address
    timeout: Duration | None = None
    interval: Interval | None = None
    threshold: Count | None = None


class Health(Section):
    """All checks."""

    storagedriver: StorageDriverCheck | None = None
    file: list[FileCheck] | None = None
    http: list[HttpCheck] | None = None
    tcp: list[TcpCheck] | None = None
