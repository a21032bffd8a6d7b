"""Durations as Go writes and reads them: 20s, 1h30m."""

import re
from fractions import Fraction

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # Go takes the micro sign and the Greek mu
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def go_duration(text: str) -> int:
    """Nanoseconds, as Go's time.ParseDuration reads them. Raises ValueError where that returns an error."""
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    parts = _PART.findall(unsigned)
    if unsigned != "0" and (not parts or "".join(number + unit for number, unit in parts) != unsigned):
        raise ValueError(f"{text!r} is no Go duration")
    nanoseconds = int(sum(Fraction(number) * _NANOSECONDS[unit] for number, unit in parts))
    if nanoseconds >= 2**63:
        raise ValueError(f"{text!r} is longer than Go's longest duration, 292 years")
    return -nanoseconds if text.startswith("-") else nanoseconds
