"""What the stack file has encrypted. The engine hands it over decrypted, and tells no more than the section.

Which values they were, the stack file tells: their marks, `{secure: …}`, are put around the decrypted ones.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from config.contradictions import NAMESPACE
from config.problems import Problem, at_location, key_of
from config.providers import IN_CLEAR
from config.registry import Encrypted, leaves, why_shown

_MARK = "secure"


class _OtherFileError(Exception):
    """The stack file does not have what the engine handed over."""


def marked(
    config: Mapping[str, str], secret_keys: Collection[str], file_config: Mapping[str, Any]
) -> tuple[dict[str, str], list[Problem]]:
    """Mark what is encrypted in the configuration as the engine hands it over: full keys, values as text.

    `secret_keys` are those with anything encrypted below them, `file_config` is the stack file's `config` as
    it is written. Also gives what cannot be told, or kept secret.
    """
    found, problems = dict(config), list[Problem]()
    for key in sorted(secret_keys & config.keys()):
        if key in IN_CLEAR:
            problems.append(_needed_in_clear(key, "jobs and messages have it"))
        elif key.startswith(f"{NAMESPACE}:"):
            try:
                found[key] = json.dumps(_mark(parsed(config[key]), parsed(file_config.get(key))))
            except _OtherFileError:
                problems.append(
                    Problem(
                        key,
                        "has something encrypted, and only the stack file tells what: it is not this "
                        "project's Pulumi.STACK.yaml, which has to be the file in use, or a link to it "
                        "(without --config-file)",
                    )
                )
    return found, problems


def unmarked(value: Any) -> tuple[Any, list[tuple[str | int, ...]]]:
    """Take the marks off; give the plain data and where something in it was encrypted."""
    if not _is_marked(value):
        plain = _without_marks(value)
        return plain, [path for path, leaf in leaves(plain) if isinstance(leaf, Encrypted)]
    plain = parsed(value[_MARK])
    return _all_encrypted(plain), [path for path, _ in leaves(plain)] or [()]


def shown(
    section: str, schema: Mapping[str, Any], value: Any, places: Sequence[tuple[str | int, ...]]
) -> Iterator[Problem]:
    """List what is encrypted at `places` of a section as it is marked, `value`, and cannot be kept secret."""
    reasons = {place: reason for place in places if (reason := _why_shown(section, schema, place))}
    if _is_marked(value) and reasons:
        yield Problem(
            section,
            "is encrypted as a whole, and jobs and servers need some of it in clear: encrypt only the "
            "secrets in it, by `pulumi config set --secret --path`",
        )
        return
    for place, reason in reasons.items():
        yield _needed_in_clear(key_of(section, place), reason)


def _why_shown(section: str, schema: Mapping[str, Any], place: tuple[str | int, ...]) -> str | None:
    if section == f"{NAMESPACE}:registry" and place[:1] == ("config",):
        return why_shown(place[1:])
    takes = any(_MARK in node.get("properties", {}) for node in at_location(schema, place))
    return None if takes else "jobs, servers or clients need it"


def _needed_in_clear(key: str, reason: str) -> Problem:
    return Problem(
        key,
        f"is encrypted and cannot be kept secret: {reason}. If it is not a secret, "
        f"`pulumi config set --plaintext --path '{key}' VALUE` writes it in clear",
    )


def _mark(value: Any, written: Any) -> Any:
    if _is_marked(written):
        return {_MARK: value if isinstance(value, str) else json.dumps(value)}
    if isinstance(value, dict) and isinstance(written, Mapping):
        by_key = {str(key): each for key, each in written.items()}
        if by_key.keys() == value.keys():
            return {key: _mark(each, by_key[key]) for key, each in value.items()}
    elif isinstance(value, list) and isinstance(written, list):
        if len(value) == len(written):
            return [_mark(each, other) for each, other in zip(value, written, strict=True)]
    elif not isinstance(value, dict | list) and not isinstance(written, Mapping | list):
        # Only texts are compared: a date or a number may be another text in YAML.
        both_texts = isinstance(value, str) and isinstance(written, str)
        if value == written or not both_texts:
            return value
    raise _OtherFileError


def _is_marked(value: Any) -> bool:
    return isinstance(value, Mapping) and list(value) == [_MARK] and isinstance(value[_MARK], str)


def _without_marks(value: Any) -> Any:
    if _is_marked(value):
        return Encrypted(value[_MARK])
    if isinstance(value, Mapping):
        return {key: _without_marks(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_marks(each) for each in value]
    return value


def _all_encrypted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _all_encrypted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_all_encrypted(each) for each in value]
    return Encrypted(value) if isinstance(value, str) else value


def parsed(written: Any) -> Any:
    """Read a section; as text it is JSON, as `pulumi config set` without --path keeps it."""
    if not isinstance(written, str):
        return written
    try:
        return json.loads(written)
    except ValueError:
        return written
