"""What is wrong at one place of a config.yml, with secrets masked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from config.registry.encrypted import Encrypted
from config.registry.paths import Path, is_secret

MASK = "…"

_LOGIN = re.compile(r"[^/@\s]*@")  # as in https://user:password@host


@dataclass(frozen=True)
class Problem:
    """A wrong value: where, what (masked if secret), and the accepted form."""

    path: Path
    value: object
    message: str


def problem(path: Path, value: object, message: str) -> Problem:
    """Build a Problem whose value is safe to print."""
    return Problem(path, _masked(path, value), message)


def _masked(path: Path, value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _masked((*path, str(key)), each) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(path, each) for each in value]
    if isinstance(value, Encrypted) or (value is not None and is_secret(path)):
        return MASK
    return _LOGIN.sub(f"{MASK}@", value) if isinstance(value, str) else value
