"""What Nomad noted of a task, in its own words (Nomad API: Allocations, TaskStates)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Events that every task has, or that say what others say better.
_ORDINARY = {"Received", "Task Setup", "Started", "Restarting", "Killing", "Killed"}
_RESULTS = ("Not Restarting", "Alloc Unhealthy")
_BCRYPT = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")


def told(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Tell each kind of event once, the newest last."""
    told: dict[str, None] = {}
    for event in events:
        if event["Type"] in _ORDINARY:
            continue
        message = f"{event['Type']}: {masked(event['DisplayMessage'])}"
        if event["Details"].get("oom_killed") == "true":
            message += " (out of memory: raise registry.memory)"
        told.pop(message, None)
        told[message] = None
    return list(told)


def reason(events: Iterable[str]) -> str | None:
    """Find the newest event that says why a task failed, of those that `told` gives.

    That Nomad gave the task up, or found it unhealthy for it, is noted before or after the reason.
    """
    return next((each for each in reversed(list(events)) if not each.startswith(_RESULTS)), None)


def masked(text: str) -> str:
    """Hide hashes of passwords."""
    return _BCRYPT.sub("(bcrypt hash)", text)
