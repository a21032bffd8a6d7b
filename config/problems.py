"""What is wrong in a stack file: one report for everything, each line naming the key and what it takes."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

type_names = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "path_type": "a path",
    "json_invalid": "a mapping of keys to values",
}


@dataclass(frozen=True, order=True)
class Problem:
    """One wrong setting: the key as the stack file spells it, and what it takes instead."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


class SettingsError(Exception):
    """Every wrong setting of a stack, in one report."""

    def __init__(self, stack_file: str, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(f"{stack_file}: {problem}" for problem in self.problems))


def key_of(section: str, location: Sequence[str | int]) -> str:
    """Spell a location as `pulumi config set --path` takes it, for example `ns:auth.users.alice`."""
    key = section
    for step in location:
        key += f"[{step}]" if isinstance(step, int) else f".{step}"
    return key


def suggestion(unknown: str, known: Iterable[str]) -> str:
    """Say which known name an unknown one is closest to, or list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(unknown, names, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"


def from_pydantic(
    error: ValidationError, section: str, schema: Mapping[str, Any], *, secrets: frozenset[str] = frozenset()
) -> list[Problem]:
    """Turn pydantic's errors into ours.

    `schema` is the section's JSON Schema (for the names that would have been known); the values of keys in
    `secrets` are never repeated.
    """
    found = error.errors(include_url=False)
    return [
        _problem(details, section, schema, secrets)
        for details in found
        if not (details["type"] == "too_short" and _is_above(details["loc"], found))
    ]


def _is_above(location: tuple[int | str, ...], found: Iterable[ErrorDetails]) -> bool:
    """Whether something inside is wrong: pydantic leaves that out, and calls the rest too short."""
    return any(each["loc"][: len(location)] == location and each["loc"] != location for each in found)


def _problem(
    details: ErrorDetails, section: str, schema: Mapping[str, Any], secrets: frozenset[str]
) -> Problem:
    location = [step for step in details["loc"] if step != "[key]"]  # pydantic's mark for a mapping's key
    kind, context = details["type"], details.get("ctx", {})
    # A mapping in the wrong place, or what stands where one belongs, may hold a secret further down.
    nested = (
        isinstance(details["input"], dict | list) or type_names.get(kind) == "a mapping of keys to values"
    )
    hidden = nested or any(step in secrets for step in location)
    value = "the value (not shown)" if hidden else repr(details["input"])
    key = key_of(section, location)
    if kind == "extra_forbidden":
        known = _known_keys(schema, location[:-1])
        return Problem(key, f"unknown key; {suggestion(str(location[-1]), known)}")
    if kind == "missing":
        return Problem(key, "is required")
    if kind == "literal_error":
        accepted = context["expected"].replace("'", "").replace(" or ", ", ")
        return Problem(key, f"{value} is not one of {accepted}")
    if kind in type_names:
        return Problem(key, f"{value} is not {type_names[kind]}")
    if kind == "value_error":
        return Problem(key, str(context["error"]).replace("{value}", value))
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"less than {context['ge']}" if "ge" in context else f"more than {context['le']}"
        return Problem(key, f"{value} is {bound}, which is the limit")
    if kind == "string_pattern_mismatch":
        return Problem(key, f"{value} does not have the accepted form {context['pattern']}")
    message = details["msg"]
    return Problem(key, f"{value}: {message[0].lower()}{message[1:]}")


def _known_keys(schema: Mapping[str, Any], location: Sequence[str | int]) -> list[str]:
    return [name for node in at_location(schema, location) for name in node.get("properties", {})]


def at_location(schema: Mapping[str, Any], location: Sequence[str | int]) -> list[Mapping[str, Any]]:
    """Walk a JSON Schema (with $defs) down to `location`; give what is accepted there, one each form."""
    definitions = schema.get("$defs", {})
    nodes = _resolve(schema, definitions)
    for step in location:
        deeper = []
        for node in nodes:
            if isinstance(step, int):
                deeper.append(node.get("items", {}))
            else:
                others = node.get("additionalProperties")  # true, where anything may be
                deeper.append(node.get("properties", {}).get(step) or others or {})
        nodes = [resolved for node in deeper if node is not True for resolved in _resolve(node, definitions)]
    return nodes


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    choices = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
    if choices:
        return [resolved for choice in choices for resolved in _resolve(choice, definitions)]
    return [node]
