"""What a check found, and what it says of itself."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from checks.doctor.facts import Facts

State = Literal["ok", "warning", "failure", "not looked at"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one thing is; `fix` is a command to run, or a setting to change."""

    state: State
    what: str
    fix: str | None = None


CheckFunction = Callable[[Facts], Finding]  # raises CheckError if it cannot look


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(state="ok", what=what)


def warning(what: str, fix: str) -> Finding:
    """It works, and something is to be done."""
    return Finding(state="warning", what=what, fix=fix)


def failure(what: str, fix: str) -> Finding:
    """Something does not work."""
    return Finding(state="failure", what=what, fix=fix)


def not_looked_at(why: str) -> Finding:
    """Nothing is known of it."""
    return Finding(state="not looked at", what=why)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a check's docstring tells: its title, then a paragraph each for symptom, cause and fix."""

    id: str
    title: str
    symptom: str
    cause: str
    fix: str

    @classmethod
    def of(cls, check: CheckFunction) -> "Told":
        """Read it. Raises KeyError if a paragraph is missing."""
        title, *paragraphs = (inspect.getdoc(check) or "").split("\n\n")
        told = {}
        for paragraph in paragraphs:
            label, _, text = paragraph.partition(": ")
            told[label] = " ".join(text.split())
        return cls(
            id=id_of(check),
            title=re.sub(r"\s+", " ", title).removesuffix("."),
            symptom=told["Symptom"],
            cause=told["Cause"],
            fix=told["Fix"],
        )


def id_of(check: CheckFunction) -> str:
    """Name a check as people write it."""
    return check.__name__.replace("_", "-")


def split(problem: str) -> tuple[str, str]:
    """Take a message apart that says what is wrong and then what to do: by its lines, else at a colon."""
    first, _, rest = problem.partition("\n")
    if rest:
        return first, rest
    what, _, advice = problem.partition(": ")
    if command := re.fullmatch(r"`([^`]+)`(?:, (.+))?", advice):
        more = f"   # {command[2]}" if command[2] else ""
        return what, f"{command[1]}{more}"
    return what, advice or problem
