"""Section `maintenance`: what keeps the registry small and safe, and when it runs."""

import re
import zoneinfo
from typing import Annotated

from pydantic import AfterValidator, Field

from config.registry import go_duration
from config.sections.backup import Backup
from config.sections.base import Section
from config.sections.scan import Scan
from config.sections.schedule import Schedule


def _time_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # Europe is a directory there
        raise ValueError("{value} is no time zone; write it like Europe/Berlin") from None
    return value


def _pattern(value: str) -> str:
    if "^" in value:  # fnmatch takes it literally, shells do not
        raise ValueError("{value} has a ^; write [!…] for any character but these")
    if "+" in value:
        raise ValueError("{value} has a +, and no tag can: Helm writes _ for it")
    if not re.fullmatch(r"(?:[A-Za-z0-9_./*?-]|\[!?[A-Za-z0-9_.-]+\])+", value):
        raise ValueError("{value} is no pattern; write it like ci/* or v[0-9]*")
    return value


def _age(value: str) -> str:
    days = re.fullmatch(r"(\d+)d", value)
    try:
        length = int(days[1]) if days else go_duration(value)
    except ValueError:
        length = 0
    if length <= 0:
        raise ValueError("{value} is no age; write it like 30d or 12h")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]
Age = Annotated[str, AfterValidator(_age)]


class GarbageCollection(Section):
    """Removal of what no image uses any more."""

    schedule: Schedule = Field("17 4 * * 0", description="When it runs (cron, or as @daily).")
    delete_untagged: bool = Field(
        False,
        description="Remove images without a tag too (3.x: 2.x would remove parts of multi-arch images).",
    )


class KeepSemver(Section):
    """Semantic versions to keep."""

    minors: int = Field(3, ge=1, description="Newest minor lines, as 1.4 and 1.3.")
    patches: int = Field(1, ge=1, description="Newest versions of each.")


class RetentionRule(Section):
    """Which tags of which repositories stay; the first rule that fits a repository counts."""

    repositories: tuple[Pattern, ...] = Field(min_length=1, description="Patterns of repository names.")
    keep_tags: tuple[Pattern, ...] = Field((), description="Patterns of tags that stay.")
    keep_newest: int | None = Field(None, ge=1, description="The newest tags that stay, by time of push.")
    keep_younger_than: Age | None = Field(None, description="Tags pushed within this time stay.")
    keep_semver: KeepSemver | None = Field(None, description="Semantic versions that stay.")


class Retention(Section):
    """Removal of old tags."""

    apply: bool = Field(
        False,
        description="Remove them before each collection; by default only `ops retention` does, if told to.",
    )
    rules: tuple[RetentionRule, ...] = Field(min_length=1, description="Which tags stay.")


class MirrorEviction(Section):
    """How often the mirrors' caches are measured."""

    schedule: Schedule = Field(
        "47 * * * *", description="When each mirror with a maxSize is measured, and made smaller (cron)."
    )


class Maintenance(Section):
    """What runs by itself; nothing of it by default, but that mirrors with a maxSize are measured."""

    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "UTC", description="Time zone of all schedules."
    )
    garbage_collection: GarbageCollection | None = Field(None, description="Garbage collection.")
    retention: Retention | None = Field(None, description="Retention of tags.")
    backup: Backup | None = Field(None, description="Backups.")
    scan: Scan | None = Field(None, description="Scans for vulnerabilities and secrets.")
    mirrors: MirrorEviction = Field(MirrorEviction(), description="The size of the mirrors' caches.")
