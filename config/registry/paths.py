"""Places in config.yml, and which of them hold secrets."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from config.registry.encrypted import Encrypted

Path = tuple[str | int, ...]

# Keys of config.yml whose values nobody may print.
_SECRET = re.compile(
    "password|secret|accesskey|accountkey|licensekey|apikey|connectionstring|private_key|authorization|cookie",
    re.I,
)
# Sections whose `headers` are sent to other servers: any may have a token in it, whatever its name.
_SENDERS = ("notifications", "health")


def dotted(path: Path) -> str:
    """Write a path as people do: storage.s3.secretkey."""
    return ".".join(map(str, path))


def secret_key(path: Path) -> str:
    """Name the secret at `path` in Vault: its path, in which a dot of a key's own separates nothing."""
    return ".".join(re.sub(r"[^\w-]", _percent, str(part), flags=re.ASCII) for part in path)


def _percent(character: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in character[0].encode(errors="surrogatepass"))


def value_at(config: Any, path: Path) -> Any:
    """Value at `path`, None where there is none."""
    for part in path:
        try:
            config = config[part]
        except (KeyError, IndexError, TypeError):
            return None
    return config


def is_secret(path: Path) -> bool:
    """Whether what is at `path` or below must not be shown."""
    if path and path[0] in _SENDERS and "headers" in path:
        return True
    return any(isinstance(part, str) and _SECRET.search(part) for part in path)


def secret_paths(config: object) -> list[Path]:
    """Path of each text in `config` that must not be shown: for its key, or as it was encrypted."""
    return [
        path
        for path, value in leaves(config)
        if isinstance(value, str) and (isinstance(value, Encrypted) or is_secret(path))
    ]


def leaves(value: object, at: Path = ()) -> Iterator[tuple[Path, object]]:
    """Each value of plain data that is neither a mapping nor a list, with its path."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*at, index))
    else:
        yield at, value
