"""Whether a secret in Vault is the one that was deployed; the provider does not read its contents back."""

import hashlib
import json

from checks.errors import AnswerError
from checks.servers import Server


def secret_change(vault: Server, mount: str, name: str, deployed: str | None) -> str | None:
    """Say how its newest version differs from `deployed`, which is JSON; None if it does not.

    Only hashes are compared, and nothing of the contents is said. Without `deployed` it only matters that it
    is there (Vault API: KV version 2, "Read secret version"). Raises CheckError.
    """
    try:
        data = vault.get(f"/v1/{mount.strip('/')}/data/{name}")["data"]["data"]
    except AnswerError as error:
        if error.status == 404:
            return "its newest version in Vault is deleted or destroyed"
        raise
    if deployed is None or _hash(data) == _hash(json.loads(deployed)):
        return None
    return "has other contents in Vault than were deployed"


def _hash(data: object) -> bytes:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).digest()
