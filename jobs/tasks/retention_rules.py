"""Which tags a rule lets go, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from jobs.tasks.semantic_version import Version
from jobs.tasks.store import Tag

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))

# Why a tag is not kept; "" if it is.
Test = Callable[[Tag], str]


class RuleError(Exception):
    """A rule cannot be carried out."""


@dataclass(frozen=True, kw_only=True)
class KeepSemver:
    """The newest `patches` versions of each of the newest `minors` minor lines."""

    minors: int
    patches: int


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A tag stays if any of the keeps keeps it. In patterns `*` stands for slashes too."""

    repositories: tuple[str, ...]
    keep_tags: tuple[str, ...] = ()
    keep_newest: int | None = None
    keep_younger_than: float | None = None  # seconds
    keep_semver: KeepSemver | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Rule":
        """Take a rule from JSON. Raises RuleError if it keeps nothing: that is an oversight."""
        rule = cls(
            repositories=tuple(content["repositories"]),
            keep_tags=tuple(content.get("keepTags") or ()),
            keep_newest=content.get("keepNewest"),
            keep_younger_than=content.get("keepYoungerThan"),
            keep_semver=KeepSemver(**content["keepSemver"]) if content.get("keepSemver") else None,
        )
        if not (rule.keep_tags or rule.keep_newest or rule.keep_younger_than or rule.keep_semver):
            raise RuleError(f"the rule for {rule.name} keeps nothing: say what stays, as keepNewest: 10")
        return rule

    @property
    def name(self) -> str:
        """What the rule is called in a plan."""
        return ", ".join(self.repositories)

    def fits(self, repository: str) -> bool:
        """Tell whether the rule is for a repository."""
        return any(fnmatchcase(repository, pattern) for pattern in self.repositories)

    def leaving(self, tags: Sequence[Tag], now: float) -> dict[str, str]:
        """Name the tags of a repository that nothing keeps, each with the reason; `now` as `Tag.pushed`."""
        tests = list(self._tests(tags, now))
        reasons = {tag.name: [test(tag) for test in tests] for tag in tags}
        return {name: "; ".join(each) for name, each in reasons.items() if all(each)}

    def _tests(self, tags: Sequence[Tag], now: float) -> Iterator[Test]:
        if self.keep_tags:
            yield _unless_named(self.keep_tags)
        if self.keep_newest:
            yield _unless_among_newest(self.keep_newest, tags)
        if self.keep_younger_than:
            yield _unless_younger(self.keep_younger_than, now)
        if self.keep_semver:
            yield _unless_current_version(self.keep_semver, tags)


def _unless_named(patterns: Sequence[str]) -> Test:
    why = f"not named like {' or '.join(patterns)}"
    return lambda tag: "" if any(fnmatchcase(tag.name, pattern) for pattern in patterns) else why


def _unless_among_newest(count: int, tags: Sequence[Tag]) -> Test:
    oldest_first = sorted(tags, key=lambda tag: (tag.pushed, tag.name))
    newest = {tag.name for tag in oldest_first[-count:]}
    return lambda tag: "" if tag.name in newest else f"not among the newest {count}"


def _unless_younger(age: float, now: float) -> Test:
    return lambda tag: "" if now - tag.pushed < age else f"{length(now - tag.pushed)} old"


def _unless_current_version(keep: KeepSemver, tags: Sequence[Tag]) -> Test:
    lines: dict[tuple[int, int], set[Version]] = {}
    for tag in tags:
        if version := Version.of(tag.name):
            lines.setdefault(version.minor_line, set()).add(version)
    current = {
        version
        for line in sorted(lines, reverse=True)[: keep.minors]
        for version in sorted(lines[line], reverse=True)[: keep.patches]
    }

    def test(tag: Tag) -> str:
        version = Version.of(tag.name)
        if version is None:
            return "no semantic version"
        return "" if version in current else "not a current version"

    return test


def length(seconds: float) -> str:
    """Put a length of time into words, in its greatest whole unit."""
    for unit, size in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"
