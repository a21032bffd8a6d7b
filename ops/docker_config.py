"""Docker's own configuration file, as far as its log-ins go; crane and BuildKit read the same file.

A `registrytoken` there is sent as it is, also where a credential helper is set: docker asks the helper for
user and password only, and a token in the file comes before them (docker/cli, native_store.go).
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_TOKEN = "registrytoken"  # noqa: S105 - the key's name


class DockerConfigError(Exception):
    """The file cannot be used; the message says which one, why, and what to do."""


def store_token(file: Path, addresses: Iterable[str], token: str) -> None:
    """Log in to each address with the token, in place of what was there for it; all else stays."""

    def log_in(auths: dict[str, Any]) -> None:
        for address in addresses:
            auths[address] = {_TOKEN: token}

    _change(file, log_in)


def remove_tokens(file: Path, addresses: Iterable[str]) -> list[str]:
    """Remove the tokens for the addresses, and no password; give the addresses that had one."""
    removed: list[str] = []

    def log_out(auths: dict[str, Any]) -> None:
        for address in addresses:
            entry = auths.get(address)
            if isinstance(entry, dict) and _TOKEN in entry:
                del auths[address]
                removed.append(address)

    if file.exists():
        _change(file, log_out)
    return removed


def _change(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    try:
        file = file.resolve()  # a link stays a link
        config = _read(file)
        auths = config.get("auths") or {}
        change(auths)
        _replace(file, json.dumps({**config, "auths": auths}, indent="\t"))  # as docker writes it
    except OSError as error:
        raise DockerConfigError(f"cannot write {file}: {error.strerror}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    try:
        config = json.loads(text or "{}")
    except ValueError:
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("auths") or {}, dict):
        raise DockerConfigError(f"{file} is no configuration of docker: mend it, or move it away")
    return config


def _replace(file: Path, text: str) -> None:
    """Write a file of its user only, in one step: a reader sees the old one or the new one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".config.json.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w") as written:
            written.write(text)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink()
        raise
