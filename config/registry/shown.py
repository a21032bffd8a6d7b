"""Which texts of config.yml nobody is shown, so that they may be encrypted in the stack file."""

from collections.abc import Mapping

from config.registry.paths import Path
from config.registry.storage import DRIVERS

# What only the registry itself reads, and shows to nobody who did not log in; `*` is any one step.
_BUCKETS = tuple(("storage", driver) for driver in DRIVERS if driver not in ("filesystem", "inmemory"))
_HIDDEN: tuple[tuple[str, ...], ...] = (
    *_BUCKETS,
    ("health", "http", "*", "headers"),
    ("log", "hooks", "*", "options"),
    ("middleware", "*", "*", "options"),
    ("notifications", "endpoints", "*", "headers"),
    ("notifications", "endpoints", "*", "url"),
    ("proxy", "password"),
    ("proxy", "username"),
    ("redis", "password"),
    ("redis", "sentinelpassword"),
    ("redis", "sentinelusername"),
    ("redis", "username"),
    ("reporting",),
)
# Source: distribution 2.8.3 and 3.1.2, registry/handlers/app.go and health/checks.
_SHOWN: Mapping[tuple[str, ...], str] = {
    ("log", "fields"): "the registry writes it into every line of its log",
    ("http", "headers"): "the registry sends it to every client",
    ("health",): "the registry writes it into its log, and shows it at the debug port when the check fails",
}
_IN_THE_JOB = "it is part of the Nomad job, which people read"


def why_shown(path: Path) -> str | None:
    """Say why the text at `path` cannot be kept secret; None where it can."""
    if any(_is_below(path, place) for place in _HIDDEN):
        return None
    return next((why for place, why in _SHOWN.items() if _is_below(path, place)), _IN_THE_JOB)


def _is_below(path: Path, place: tuple[str, ...]) -> bool:
    return len(path) >= len(place) and all(
        step in ("*", part) for part, step in zip(path, place, strict=False)
    )
