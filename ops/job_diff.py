"""Nomad's structural diff of a job as lines: what goes begins with `-` and what comes with `+`."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SAME = "None"
_INDENT = "  "


def job_diff(plan: Mapping[str, Any]) -> list[str]:
    """Put a plan of Nomad's into lines; empty if it would change nothing."""
    diff = plan["Diff"]
    if diff["Type"] == _SAME:
        return []
    return [_line(" ", 0, f"job {diff['ID']}{_updates(plan)}"), *_parts(diff, 1)]


def _updates(plan: Mapping[str, Any]) -> str:
    """Say what becomes of the allocations."""
    groups = plan["Diff"].get("TaskGroups") or ()
    counts: dict[str, int] = {}
    for group in groups:
        for update, count in (group.get("Updates") or {}).items():
            counts[update] = counts.get(update, 0) + count
    told = ", ".join(f"{count} {update}" for update, count in counts.items() if update != "ignore")
    return f" ({told})" if told else ""


def _parts(diff: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Fields, then objects, task groups and tasks, each only if it changes."""
    for field in diff.get("Fields") or ():
        yield from _field(field, depth)
    for kind, label in (("Objects", ""), ("TaskGroups", "group "), ("Tasks", "task ")):
        for part in diff.get(kind) or ():
            if part["Type"] != _SAME:
                yield _line(_sign(part), depth, f"{label}{part['Name']}{_notes(part)}")
                yield from _parts(part, depth + 1)


def _field(field: Mapping[str, Any], depth: int) -> Iterator[str]:
    if field["Type"] == _SAME:
        return
    old, new = field["Old"].splitlines(), field["New"].splitlines()
    if max(len(old), len(new)) > 1:
        yield _line(" ", depth, f"{field['Name']}:{_notes(field)}")
        yield from _text(old, new, depth + 1)
        return
    if field["Type"] != "Added":
        yield _line("-", depth, f"{field['Name']}: {field['Old']}")
    if field["Type"] != "Deleted":
        yield _line("+", depth, f"{field['Name']}: {field['New']}{_notes(field)}")


def _text(old: Sequence[str], new: Sequence[str], depth: int) -> Iterator[str]:
    """Compare a file line by line, as a template is one, with two lines around each change."""
    for line in list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]:
        sign, text = (" ", "…") if line.startswith("@@") else (line[0], line[1:])
        yield _line(sign, depth, text)


def _sign(part: Mapping[str, Any]) -> str:
    return {"Added": "+", "Deleted": "-"}.get(part["Type"], " ")


def _notes(part: Mapping[str, Any]) -> str:
    notes = ", ".join(part.get("Annotations") or ())
    return f" ({notes})" if notes else ""


def _line(sign: str, depth: int, text: str) -> str:
    return f"{sign} {_INDENT * depth}{text}".rstrip()
