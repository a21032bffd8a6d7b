"""Ports that Nomad counts as taken only because an allocation is about to end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from checks.neighbours import allocations
from checks.servers import Server

PATIENCE = 120  # seconds; an allocation ends within its shutdown_delay and kill_timeout, which are less
_PAUSE = 0.5  # seconds

Plan = Mapping[str, Any]


def settled_plan(nomad: Server, ask: Callable[[], Plan]) -> Plan:
    """Let Nomad plan by `ask`, and again while a port collides and an allocation is about to end.

    Nomad counts an allocation's ports until its client says that it ended. While one gives way to the next
    they have the same port, and then the node has no place for any job (Nomad 1.6.3, scheduler/rank.go:
    "network: port collision"). Raises CheckError.
    """
    deadline, ended = time.monotonic() + PATIENCE, False
    while True:
        plan = ask()
        if ended or not collides(plan.get("FailedTGAllocs") or {}) or time.monotonic() > deadline:
            return plan
        ended = not _is_one_ending(nomad)  # it may have ended since the plan: once more
        if not ended:
            time.sleep(_PAUSE)


def collides(failed: Mapping[str, Any]) -> bool:
    """Whether a task group has no place because of a port (Nomad API: FailedTGAllocs)."""
    return any(
        "port collision" in reason
        for metrics in failed.values()
        for reason in metrics.get("DimensionExhausted") or ()
    )


def _is_one_ending(nomad: Server) -> bool:
    return any(
        each["DesiredStatus"] != "run" and each["ClientStatus"] in ("pending", "running")
        for each in allocations(nomad)
    )
