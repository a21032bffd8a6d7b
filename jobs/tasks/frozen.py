"""How the tasks of one allocation wait for each other: by files in the folder that they share."""

import time
from collections.abc import Mapping
from pathlib import Path

_PAUSE_SECONDS = 0.5
_FROZEN = "frozen"
ROUTED = "routed"  # before the freeze Traefik led to the registry, as asked from here


def mark(environment: Mapping[str, str], what: str = _FROZEN) -> None:
    """Say that the registry is read-only for this allocation, or by its name that something else holds."""
    _file(environment, what).touch()


def is_marked(environment: Mapping[str, str], what: str) -> bool:
    """Whether a task of the allocation said so."""
    return _file(environment, what).exists()


def wait_until_frozen(environment: Mapping[str, str]) -> None:
    """Wait for that, in a task that starts beside freeze; with AFTER until the task of that name is done.

    If one of them fails, Nomad ends the others too.
    """
    while not _file(environment, environment.get("AFTER", _FROZEN)).exists():
        time.sleep(_PAUSE_SECONDS)


def _file(environment: Mapping[str, str], what: str) -> Path:
    return Path(environment["NOMAD_ALLOC_DIR"], "data", what)
