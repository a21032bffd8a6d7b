"""Copies the public keys that Vault signs identity tokens with into the secret that the registry reads.

Runs daily, which is early enough: Vault publishes the next signing key one whole rotation period before it
signs with it (Vault, identity_store_oidc.go: NextSigningKey), so the period must only be longer than a day.
After a rotation by hand the new signing key is known here already; two such rotations need a run in between.

Every key that Vault still publishes is kept: tokens signed before a rotation stay good until they end.
Vault gives the keys of all roles of its identity tokens, not only ours; the registry checks audience too.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

# `python -m` and the tests both find it by the path that it has in the repository.
from jobs.tasks.vault_api import Vault, VaultError

WAITS = (1, 2, 4, 8)  # seconds before each further try


def refresh(vault: Vault, path: str) -> str:
    """Make the secret (KV v2 API path) hold Vault's key set; say what was done. Raises VaultError."""
    published = vault.get("identity/oidc/.well-known/keys")
    if not published.get("keys"):
        raise VaultError(
            "Vault publishes no key at identity/oidc/.well-known/keys: no identity token role uses a key yet"
        )
    stored, version = _read(vault, path)
    wanted = canonical(published)
    if stored == wanted:
        return f"unchanged: {_names(wanted)}"
    # Check-and-set: a run beside this one cannot have its keys lost.
    vault.post(path, {"options": {"cas": version}, "data": {"jwks": wanted}})
    return f"changed: {_names(wanted)}"


def canonical(key_set: Mapping[str, Any]) -> str:
    """Write a key set so that the same keys are the same text: Vault gives them in any order."""
    keys = sorted(key_set["keys"], key=lambda key: str(key["kid"]))
    return json.dumps({"keys": keys}, sort_keys=True, separators=(",", ":"))


def _read(vault: Vault, path: str) -> tuple[str, int]:
    """Read the stored text and its version; 0 is Vault's word for a secret that is not there."""
    try:
        found = vault.get(path)["data"]
    except VaultError as error:
        if error.status != 404:
            raise
        # A deleted secret answers 404 as well, and goes on counting.
        found = error.answer.get("data") or {"metadata": {"version": 0}}
    return (found.get("data") or {}).get("jwks", ""), found["metadata"]["version"]


def _names(text: str) -> str:
    """Name the keys of a key set by their ids, which are public."""
    return ", ".join(key["kid"] for key in json.loads(text)["keys"])


def main(environment: Mapping[str, str]) -> int:
    """Refresh, with a few more tries; the exit code."""
    for wait in (*WAITS, None):
        try:
            print(refresh(Vault.of_task(environment), environment["JWKS_PATH"]))
        except (VaultError, OSError) as error:
            print(error, file=sys.stderr)
        else:
            return 0
        if wait is not None:
            time.sleep(wait)
    print("gave up: the registry goes on with the keys that it has", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
