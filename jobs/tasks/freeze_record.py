"""The record of a freeze: who holds the registry read-only, in the Nomad variable of the registry's job.

The registry's config.yml is a template that reads the item `mode`. Whoever sets `mode` by hand, without an
`owner`, freezes the registry until somebody removes it.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

READ_ONLY, READ_WRITE = "read-only", "read-write"
# What every answer of the registry tells: its mode, and the allocation whose freeze made it so, if one did.
MODE_HEADER, FREEZE_HEADER = "X-Registry-Mode", "X-Registry-Freeze"
ALLOCATION = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """A freeze that is in force."""

    owner: str  # id of the allocation that holds it; anything else is a person's
    job: str  # its Nomad job
    since: str  # ISO time

    @property
    def is_by_hand(self) -> bool:
        """Whether no allocation holds it, so that only a person ends it."""
        return not re.fullmatch(ALLOCATION, self.owner)


def freeze_variable(registry: str) -> str:
    """Name the variable; a job reads the one of its own name without any policy."""
    return f"nomad/jobs/{registry}"


def variable_of(registry: str) -> str:
    """Give its path in Nomad's API."""
    return f"/v1/var/{freeze_variable(registry)}"


def freeze_in(variable: Mapping[str, Any] | None) -> Freeze | None:
    """Read the freeze out of the variable as Nomad's API gives it; None if there is none."""
    items = (variable or {}).get("Items") or {}
    if items.get("mode") != READ_ONLY:
        return None
    return Freeze(owner=items.get("owner", ""), job=items.get("job", ""), since=items.get("since", ""))


def with_freeze(variable: Mapping[str, Any] | None, freeze: Freeze) -> dict[str, str]:
    """Give the items with a freeze; what else is in the variable stays."""
    return {**((variable or {}).get("Items") or {}), "mode": READ_ONLY, **asdict(freeze)}


def without_freeze(variable: Mapping[str, Any]) -> dict[str, str]:
    """Give the items that are left without the freeze."""
    ours = {"mode", "owner", "job", "since"}
    return {key: value for key, value in (variable.get("Items") or {}).items() if key not in ours}


def is_over(allocation: Mapping[str, Any] | None) -> bool:
    """Tell whether the allocation that holds a freeze has ended, by Nomad's word; None is one that is gone.

    `failed` is one whose last task, thaw, may still run. Its work is over, and thaw ends only its own freeze.
    """
    return allocation is None or allocation["ClientStatus"] in ("complete", "failed", "lost")
