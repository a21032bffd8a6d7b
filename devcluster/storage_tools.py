"""Debian's programs for tests alone: Redis; rclone, which copies from disk to bucket; skopeo, for images."""

import shutil
from pathlib import Path

from devcluster.debian import install

# redis-tools has the server too, and unlike redis-server's package starts none on this machine.
_PACKAGES = {"redis-check-rdb": "redis-tools", "rclone": "rclone", "skopeo": "skopeo"}


def ensure() -> None:
    """Install what is missing; needs root then."""
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    if missing:
        install(missing, "tests of shared storage and of mirrors need Redis, rclone and skopeo")


def rclone() -> Path:
    """The program."""
    return _found("rclone")


def skopeo() -> Path:
    """The program, which copies images as podman pulls them: by the same library and registries.conf."""
    return _found("skopeo")


def redis_server() -> Path:
    """The server's program; it is a server when it is called `redis-server` (argv 0)."""
    return _found("redis-check-rdb")


def _found(program: str) -> Path:
    ensure()
    path = shutil.which(program)
    assert path  # noqa: S101 - `ensure` raised otherwise
    return Path(path)
