"""Secrets that a stack file has in clear. Pulumi decrypts all for the program, so the file tells."""

from collections.abc import Iterator, Mapping
from typing import Any

from config.contradictions import NAMESPACE
from config.encrypted import parsed
from config.problems import Problem, key_of

_SECRETS = frozenset({"password", "secretKey", "clientSecret", "privateKey"})
# The registry's own configuration: what is secret in it goes to Vault, however it is written.
_FREE = (f"{NAMESPACE}:registry", ("config",))


def clear_secrets(file_config: Mapping[str, Any]) -> list[Problem]:
    """List the secrets in clear of a stack file's `config`, as it is written: encrypted is `{secure: …}`."""
    return [
        Problem(
            key,
            "is in clear: take another one, since this one was in a file, and "
            f"`pulumi config set --secret --path '{key}'` encrypts it",
        )
        for section, written in file_config.items()
        if section.startswith(f"{NAMESPACE}:")
        for key in _in_clear(section, parsed(written), ())
    ]


def _in_clear(section: str, written: Any, path: tuple[str | int, ...]) -> Iterator[str]:
    if (section, path) == _FREE:
        return
    inner = written.items() if isinstance(written, Mapping) else ()
    for key, value in enumerate(written) if isinstance(written, list) else inner:
        if key in _SECRETS and isinstance(value, str | int):
            yield key_of(section, (*path, key))
        else:
            yield from _in_clear(section, value, (*path, key))
