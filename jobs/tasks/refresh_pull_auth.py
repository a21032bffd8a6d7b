"""Keeps the file fresh by which a Nomad client logs in to the registry: a short-lived token signed by Vault.

Runs on every client. A new token comes at half of the old one's life; while Vault is away the old file stays.
Other entries of the file are left alone.
"""

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jobs.tasks.vault_api import Vault, VaultError

LONGEST_WAIT_SECONDS = 60  # between two tries while Vault is away


def refresh(environment: Mapping[str, str]) -> float:
    """Write a new token into the file; give the seconds after which it is to be done again.

    Raises VaultError, and OSError if the file cannot be written.
    """
    vault = Vault.of_task(environment)
    if role := environment.get("APPROLE"):
        vault = log_in(vault, role)
    made = vault.get(environment["TOKEN_PATH"])["data"]
    addresses = environment["ADDRESSES"].split()
    write(Path(environment["AUTH_FILE"]), addresses, made["token"])
    print(f"new token of {made['ttl']} s for {', '.join(addresses)}")
    return float(made["ttl"]) / 2


def log_in(vault: Vault, role: str) -> Vault:
    """Log in by an AppRole (`auth/MOUNT/role/NAME`): Nomad's own token has no entity to sign one for."""
    role_id = vault.get(f"{role}/role-id")["data"]["role_id"]
    secret_id = vault.post(f"{role}/secret-id", {})["data"]["secret_id"]
    login = f"{role.partition('/role/')[0]}/login"
    answer = vault.with_token(None).post(login, {"role_id": role_id, "secret_id": secret_id})
    return vault.with_token(answer["auth"]["client_token"])


def write(file: Path, addresses: Iterable[str], token: str) -> None:
    """Put the token into a docker config.json, in one step: a client never reads half of it.

    Raises OSError, also when the file is no such thing: then it stays, for the log-ins in it.
    """
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # the job of another stack may write the same file
        content = _read(file)
        auths = {**(content.get("auths") or {}), **{each: {"registrytoken": token} for each in addresses}}
        new = file.with_name(f".{file.name}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            json.dump({**content, "auths": auths}, opened)
            opened.flush()
            os.fsync(opened.fileno())  # else a power cut leaves an empty file or zeros, at which this stops
        new.replace(file)
    finally:
        os.close(folder)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text() or "{}")
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("auths") or {}, dict):
        raise OSError(f"{file} is no configuration of docker: mend it, or move it away")
    return content


def main(environment: Mapping[str, str]) -> None:
    """Refresh for as long as the task runs."""
    failures = 0
    while True:
        try:
            wait = refresh(environment)
        except (VaultError, OSError) as error:
            failures += 1
            wait = min(2.0**failures, LONGEST_WAIT_SECONDS)
            print(f"{error}; the last token stays, again in {wait:.0f} s", file=sys.stderr)
        else:
            failures = 0
        time.sleep(wait)


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(os.environ)
