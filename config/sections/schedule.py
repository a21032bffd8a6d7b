"""When a job runs, as a crontab says it."""

from typing import Annotated

from pydantic import AfterValidator

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# A field's name, least and greatest value, and the names of values (as Nomad's cronexpr reads it).
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)


def _schedule(value: str) -> str:
    parts = value.lower().split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            "{value} is no schedule; write five fields: minute hour day month weekday, as 17 4 * * 0"
        )
    for part, (name, least, greatest, names) in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            if not _is_item(item, least, greatest, names):
                raise ValueError(
                    f"{{value}} is no schedule: {item} is no {name}; it takes {least} to {greatest}"
                )
    return value


def _is_item(item: str, least: int, greatest: int, names: list[str]) -> bool:
    """Tell `*`, `5`, `1-5`, `mon-fri` and any of them with a step, as `*/15`."""
    span, _, step = item.partition("/")
    if "/" in item and not (step.isdigit() and int(step) > 0):
        return False
    if span == "*":
        return True
    ends = [str(names.index(end) + least) if end in names else end for end in span.split("-")]
    if len(ends) > 2 or not all(end.isdigit() and least <= int(end) <= greatest for end in ends):
        return False
    return int(ends[0]) <= int(ends[-1])


Schedule = Annotated[str, AfterValidator(_schedule)]
