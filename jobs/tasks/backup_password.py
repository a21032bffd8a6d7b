"""The password of the backups: in Vault, made once by the first backup, changed by nobody."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jobs.tasks.vault_api import Vault, VaultError


class PasswordError(Exception):
    """Vault has no password that could be used; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Password:
    """A password, and when Vault took it."""

    text: str = field(repr=False)
    made: datetime

    def is_younger_than(self, age: timedelta) -> bool:
        """Compare with this machine's clock."""
        return datetime.now(UTC) - self.made < age


def password_in(vault: Vault, path: str) -> Password | None:
    """Read it; None if there is none. Raises PasswordError and VaultError."""
    try:
        found: Mapping[str, Mapping[str, str]] = vault.get(path)["data"]
        made = datetime.fromisoformat(found["metadata"]["created_time"])
        return Password(text=found["data"]["password"], made=made)
    except VaultError as error:
        if error.status == 404:
            return None
        raise
    except KeyError:
        raise PasswordError(f"the secret {path} in Vault has no field `password`: put it back") from None


def make_password(vault: Vault, path: str) -> str:
    """Make one that nobody can overwrite then. Raises VaultError."""
    text = secrets.token_urlsafe(32)
    # Check-and-set: whoever else made one meanwhile wins.
    vault.post(path, {"options": {"cas": 0}, "data": {"password": text}})
    return text


def command(words: str, path: str) -> str:
    """Write a command of Vault's for the secret, whose API path has `/data/` in it."""
    return f"`vault kv {words} {path.replace('/data/', '/', 1)}"
