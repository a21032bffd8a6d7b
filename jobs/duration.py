"""A length of time, as Nomad's API counts it."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, order=True)
class Duration:
    """A length of time; a type of its own because Nomad's JSON takes nanoseconds and a bare number lies."""

    nanoseconds: int

    @classmethod
    def seconds(cls, count: float) -> Self:
        """Make a duration of `count` seconds."""
        return cls(round(count * 1_000_000_000))

    @classmethod
    def minutes(cls, count: float) -> Self:
        """Make a duration of `count` minutes."""
        return cls.seconds(count * 60)

    def __str__(self) -> str:
        return f"{self.nanoseconds / 1_000_000_000:g}s"
