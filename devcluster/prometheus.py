"""Prometheus and promtool, which tests run: Debian's, only unpacked."""

from pathlib import Path

from devcluster.debian import unpack
from devcluster.programs import cached


def folder() -> Path:
    """The folder with both programs."""
    return cached("debian-prometheus", lambda unfinished: unpack("prometheus", unfinished)) / "usr" / "bin"
