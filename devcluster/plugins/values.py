"""Between the protocol's property values and plain Python data, and the difference between two of those."""

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import PropertyDiffKind
from pulumi.runtime.rpc import UNKNOWN

Properties = Mapping[str, PropertyValue]
Plain = dict[str, Any]

__all__ = ["UNKNOWN", "Plain", "Properties", "differences", "has_unknown", "plain", "secret_keys", "wrapped"]


def plain(properties: Properties) -> Plain:
    """Plain data: no secret marks, no nulls at the top level, whole numbers as int; unknown is UNKNOWN."""
    values = {key: _plain(value) for key, value in properties.items() if not key.startswith("__")}
    return {key: value for key, value in values.items() if value is not None}


def _plain(value: PropertyValue) -> Any:
    inner = value.value
    if isinstance(inner, Mapping):
        return {key: _plain(item) for key, item in inner.items()}
    if isinstance(inner, tuple):
        return [_plain(item) for item in inner]
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    return inner


def secret_keys(properties: Properties) -> set[str]:
    """The top-level keys that are or hold a secret."""
    return {key for key, value in properties.items() if value.contains_secret()}


def wrapped(values: Mapping[str, Any], secrets: set[str]) -> dict[str, PropertyValue]:
    """Plain data as property values, with the named top-level keys marked secret."""
    return {key: _wrapped(value).with_secret(key in secrets) for key, value in values.items()}


def _wrapped(value: Any) -> PropertyValue:
    if isinstance(value, Mapping):
        return PropertyValue({str(key): _wrapped(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([_wrapped(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def has_unknown(value: Any) -> bool:
    """Whether a value is, or holds, one that only a later step of the same `up` can tell."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, PropertyDiffKind]]:
    """The property paths at which two values differ, as `pulumi preview --diff` shows them."""
    if old == new:
        return
    if old is None or new is None:
        yield path, PropertyDiffKind.ADD if old is None else PropertyDiffKind.DELETE
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            step = f".{key}" if key.isidentifier() else f'["{key}"]'
            yield from differences(path + step, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before, after = (side[index] if index < len(side) else None for side in (old, new))
            yield from differences(f"{path}[{index}]", before, after)
    else:
        yield path, PropertyDiffKind.UPDATE
