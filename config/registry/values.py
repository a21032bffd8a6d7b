"""The kinds of value that config.yml is made of, each refusing what the registry would misread."""

import re
from difflib import get_close_matches
from typing import Annotated, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from config.registry.duration import go_duration
from config.registry.section import refuse
from config.registry.version import RegistryVersion

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Headers = dict[str, list[str]]


def _nanoseconds(value: object) -> int:
    # Go reads a bare number as nanoseconds, so `10` would be no time at all.
    try:
        return go_duration(value if isinstance(value, str) else "")
    except ValueError:
        refuse('must be a duration with a unit: "10s", "1h30m", "0s"')


def _duration(value: object) -> object:
    _nanoseconds(value)
    return value


def _not_negative(value: object) -> object:
    if _nanoseconds(value) < 0:
        refuse("must not be negative")
    return value


def _positive(value: object) -> object:
    if _nanoseconds(value) <= 0:
        refuse("must be longer than 0: the registry panics on the first tick else")
    return value


def at_least(shortest: str) -> BeforeValidator:
    """Accept no duration shorter than this, which is one of Go's."""

    def long_enough(value: object) -> object:
        if _nanoseconds(value) < go_duration(shortest):
            refuse(f"must be {shortest} or longer")
        return value

    return BeforeValidator(long_enough)


SignedDuration = Annotated[str, BeforeValidator(_duration)]
Duration = Annotated[str, BeforeValidator(_not_negative)]
PositiveDuration = Annotated[str, BeforeValidator(_positive)]


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        refuse("must be a URL with scheme and host: https://registry.example.org")
    if parts.password:
        refuse("must not carry a password, which logs would show: use the section's own keys, or a header")
    return value


Url = Annotated[str, AfterValidator(_url)]


def is_address(value: str) -> bool:
    """Whether Go's net.Listen and net.Dial take it for TCP: HOST:PORT, where the host may be left out."""
    match = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]*):(\d{1,5})", value)
    return match is not None and 0 < int(match[1]) <= 65535


def _address(value: str) -> str:
    if not is_address(value):
        refuse("must be HOST:PORT or :PORT, with a port from 1 to 65535")
    return value


Address = Annotated[str, AfterValidator(_address)]


def _prefix(value: str) -> str:
    if not re.fullmatch(r"/(?:[^\s?#]*[^\s?#/]/)?", value):
        refuse("must begin and end with a slash: /registry/")
    return value


UrlPrefix = Annotated[str, AfterValidator(_prefix)]


def _regular_expression(value: str) -> str:
    # Python's re stands in for Go's RE2: RE2 has no lookaround, and a few escapes and flags that re lacks.
    if re.search(r"\(\?<?[=!]", value):
        refuse("must be a regular expression of Go's kind (RE2), which has no lookahead or lookbehind")
    if re.search(r"\\[pPzQC]|\(\?[a-zA-Z-]*[U:)]|\[\[:", value):
        return value
    try:
        re.compile(value)
    except re.error as error:
        refuse(f"must be a regular expression of Go's kind (RE2): {error.msg} at position {error.pos}")
    return value


RegularExpression = Annotated[str, AfterValidator(_regular_expression)]


def one_of(
    *both: str, v2: tuple[str, ...] = (), v3: tuple[str, ...] = (), ignore_case: bool = False
) -> AfterValidator:
    """Accept the values that both versions know, and those that only the version under check knows."""
    own = {RegistryVersion.V2: (*v2, *both), RegistryVersion.V3: (*v3, *both)}
    every = {*both, *v2, *v3}

    def among(value: str, info: ValidationInfo) -> str:
        version = cast(RegistryVersion, info.context)
        accepted = own[version]
        known = next(
            (each for each in every if each == value or (ignore_case and each.lower() == value.lower())), None
        )
        if known is None:
            close = get_close_matches(value, accepted, n=1)
            refuse(
                f"must be one of {', '.join(accepted)}" + (f" (did you mean {close[0]}?)" if close else "")
            )
        if known not in accepted:
            refuse(f"is not known to distribution {version}.x: must be one of {', '.join(accepted)}")
        return value

    return AfterValidator(among)
