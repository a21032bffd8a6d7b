"""When a job runs, as Nomad reads a crontab (hashicorp/cronexpr 1.1.2, cronexpr_parse.go)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def _names(words: tuple[str, ...], first: int) -> dict[str, int]:
    return {name: value for value, word in enumerate(words, first) for name in (word, word[:3])}


@dataclass(frozen=True, kw_only=True)
class _Field:
    """One of a schedule's fields: least and greatest value, names of values, and forms that only it has."""

    name: str
    least: int
    greatest: int
    names: Mapping[str, int] = field(default_factory=dict)
    digits: str = r"\d{1,2}"
    special: str = r"(?!)"
    more: str = ""


_WEEKDAY = rf"([0-7]|{'|'.join(_names(_DAYS, 0))})"
_MONTH = _Field(name="month", least=1, greatest=12, names=_names(_MONTHS, 1))
_FIELDS = (
    _Field(name="minute", least=0, greatest=59),
    _Field(name="hour", least=0, greatest=23),
    # The last day or working day of the month, and the working day that is nearest to a day.
    _Field(
        name="day of month", least=1, greatest=31, special=r"l|lw|(0?[1-9]|[12]\d|3[01])w", more=", L or LW"
    ),
    _MONTH,
    # The last of its kind in a month, and the first to fifth. Nomad reads 01 as 0, and a 7 at the end of a
    # range as 6, so that neither is taken here.
    _Field(
        name="day of week",
        least=0,
        greatest=6,
        names={**_names(_DAYS, 0), "7": 0},
        digits=r"\d",
        special=rf"{_WEEKDAY}(l|#[1-5])",
        more=", Sunday is 0 and the first one of a month 0#1",
    ),
)
# The longest that each can be; February's 29th comes every fourth year only.
_LENGTHS = dict(enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1))


def _schedule(value: str) -> str:
    """Check each field; give the five that a word like @daily stands for."""
    written = _ALIASES.get(value.strip().lower(), value)
    parts = written.lower().split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            "{value} is no schedule; write five fields: minute hour day month weekday, as 17 4 * * 0, or one "
            f"of {', '.join(_ALIASES)}"
        )
    for part, each in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            if not _is_item(item, each):
                raise ValueError(
                    f"{{value}} is no schedule: {item} is no {each.name}; it takes {each.least} to "
                    f"{each.greatest}{each.more}"
                )
    _, _, day, month, weekday = parts
    if not _comes_each_year(day, month, weekday):
        raise ValueError("{value} is no schedule: not every year has such a day")
    return written


def _is_item(item: str, each: _Field) -> bool:
    """Tell `*`, `5`, `1-5`, `mon-fri`, any of them with a step, as `*/15`, and what only this field has."""
    if item == "?" or re.fullmatch(each.special, item):
        return True
    span, slash, step = item.partition("/")
    if slash and not (re.fullmatch(r"[0-9]{1,2}", step) and 1 <= int(step) <= each.greatest):
        return False
    if span == "*":
        return True
    ends = [_value(end, each) for end in span.split("-")]
    match ends:
        case [int()]:
            return True
        case [int(first), int(last)]:
            return first < last
    return False


def _value(word: str, each: _Field) -> int | None:
    if word in each.names:
        return each.names[word]
    value = int(word) if re.fullmatch(each.digits, word, re.ASCII) else -1
    return value if each.least <= value <= each.greatest else None


def _comes_each_year(day: str, month: str, weekday: str) -> bool:
    """Tell 31 April, and a month's fifth Sunday; of ranges and steps of months some month has each day."""
    if weekday not in ("*", "?"):  # it comes beside the days of the month
        return "#5" not in weekday or month in ("*", "?")
    firsts = [re.match(r"\d+", item) for item in day.split(",")]
    months = [_value(item, _MONTH) for item in month.split(",")]
    longest = max(_LENGTHS[each] if each else 31 for each in months)
    return any(first is None or int(first[0]) <= longest for first in firsts)


Schedule = Annotated[str, AfterValidator(_schedule)]
