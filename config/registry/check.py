"""All that is wrong with a config.yml for one major version of the registry."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.registry.document import Document
from config.registry.merge import merge
from config.registry.middleware import STORAGE_OPTIONS
from config.registry.paths import Path
from config.registry.problem import MASK, Problem, problem
from config.registry.rules import broken_rules, entries
from config.registry.section import Section
from config.registry.version import RegistryVersion

# pydantic's error types, in the words of someone who edits YAML.
_ADVICE = {
    "missing": "is required here",
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "string_type": "must be text: put it in quotes",
    "string_too_short": "is empty: give a value or leave the key out",
    "string_pattern_mismatch": "must begin with a slash",
    "list_type": "must be a list: [value]",
    "too_short": "is empty: give at least one value or leave the key out",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "multiple_of": "must be a multiple of {multiple_of}",
    "invalid_key": "must be a key of text: put it in quotes",
}


def check(config: Mapping[str, Any], version: RegistryVersion) -> list[Problem]:
    """All problems at once, in the order of their paths; none if the registry will do what `config` says."""
    plain = merge({}, config)
    found = [
        *_wrong_values(Document, plain, version, ()),
        *_wrong_storage_middleware(plain, version),
        *broken_rules(plain, version),
    ]
    return sorted(found, key=lambda each: [str(part) for part in each.path])


def _wrong_storage_middleware(config: Mapping[str, Any], version: RegistryVersion) -> Iterator[Problem]:
    for path, entry in entries(config, "middleware", "storage"):
        if (options := STORAGE_OPTIONS.get(str(entry.get("name")))) is not None:
            yield from _wrong_values(options, entry.get("options", {}), version, (*path, "options"))


def _wrong_values(
    model: type[Section], value: object, version: RegistryVersion, at: Path
) -> Iterator[Problem]:
    try:
        model.model_validate(value, context=version)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            yield _problem(model, details, at)


def _problem(model: type[Section], details: ErrorDetails, at: Path) -> Problem:
    path = (*at, *details["loc"])
    if details["type"] == "extra_forbidden":
        # A misspelled key may well hold a secret.
        return Problem(path, MASK, _unknown_key(_section_at(model, details["loc"][:-1]), str(path[-1])))
    if details["type"] == "missing":
        return Problem(path, None, _ADVICE["missing"])
    if details["type"] in {"dict_type", "model_type"} and isinstance(details["input"], str):
        # Text in place of a section may be an address with a password in it.
        return Problem(path, MASK, _ADVICE[details["type"]])
    advice = _ADVICE.get(details["type"])
    message = advice.format(**details.get("ctx", {})) if advice else details["msg"]
    return problem(path, details["input"], message)


def _unknown_key(section: type[Section], key: str) -> str:
    known = [field.alias or name for name, field in section.model_fields.items()]
    close = get_close_matches(key.lower(), known, n=1)
    if close:
        return f"unknown key, did you mean {close[0]}?"
    return f"unknown key, remove it; there are {', '.join(known)}" if known else "unknown key, remove it"


def _section_at(model: type[Section], path: tuple[int | str, ...]) -> type[Section]:
    for part in path:
        if isinstance(
            part, str
        ):  # an index needs no step: a list's annotation already led to its items' model
            model = next(_sections_in(model.model_fields[part].annotation))
    return model


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
