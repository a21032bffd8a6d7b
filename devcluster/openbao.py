"""The Vault API: OpenBao with raft storage, unsealed by a key file, initialised through its own API."""

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import hvac
import hvac.exceptions

from devcluster.errors import ClusterError
from devcluster.files import PRIVATE, write
from devcluster.instance import LOOPBACK, Instance
from devcluster.servers import Server, answers

KV_MOUNT = "secret"
NOMAD_ROLE = "nomad-cluster"
NOMAD_POLICY = "nomad-server"
# Nomad renews its token as long as it runs; one that outlived a longer pause is replaced at the next start.
NOMAD_PERIOD = "72h"

# Nomad 1.6 documentation, "Vault integration": what the servers' token must be allowed to do.
NOMAD_RULES = f"""
path "auth/token/create/{NOMAD_ROLE}" {{ capabilities = ["update"] }}
path "auth/token/roles/{NOMAD_ROLE}" {{ capabilities = ["read"] }}
path "auth/token/lookup-self" {{ capabilities = ["read"] }}
path "auth/token/lookup" {{ capabilities = ["update"] }}
path "auth/token/revoke-accessor" {{ capabilities = ["update"] }}
path "auth/token/renew-self" {{ capabilities = ["update"] }}
path "sys/capabilities-self" {{ capabilities = ["update"] }}
"""


def config(instance: Instance) -> dict[str, object]:
    """OpenBao's server configuration."""
    folder = instance.root / "vault"
    return {
        "storage": {"raft": {"path": str(folder / "data"), "node_id": "cluster"}},
        "seal": {"static": {"current_key_id": "1", "current_key": f"file://{folder / 'unseal.key'}"}},
        "listener": [{"tcp": {"address": f"{LOOPBACK}:{instance.ports.vault_api}", "tls_disable": True}}],
        "api_addr": instance.vault_address,
        "cluster_addr": f"http://{LOOPBACK}:{instance.ports.vault_cluster}",
        "ui": False,
    }


def prepare(instance: Instance) -> None:
    """Make the key that unseals it and its data folder."""
    folder = instance.root / "vault"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key = folder / "unseal.key"
    if not key.exists():
        write(key, secrets.token_hex(32), mode=PRIVATE)


def server(instance: Instance) -> Server:
    """OpenBao as a server of the cluster."""
    folder = instance.root / "vault"
    file = folder / "openbao.json"
    return Server(
        name="openbao",
        command=(str(instance.bin / "bao"), "server", "-config", str(file)),
        files={file: json.dumps(config(instance), indent=2)},
        ports={
            "the Vault API (OpenBao)": instance.ports.vault_api,
            "OpenBao's cluster port": instance.ports.vault_cluster,
        },
        # Also well when not initialised yet: `initialise` comes after.
        healthy=lambda: answers(f"{instance.vault_address}/v1/sys/health?uninitcode=200"),
        address=instance.vault_address,
    )


def initialise(instance: Instance) -> str:
    """Make a fresh server ready (root token, key-value store); return the root token."""
    client = hvac.Client(url=instance.vault_address)
    file = instance.root_token_file
    if not client.sys.is_initialized():
        made = client.sys.initialize(
            secret_shares=None, secret_threshold=None, recovery_shares=1, recovery_threshold=1
        )
        write(file.with_name("recovery-key"), made["recovery_keys_base64"][0], mode=PRIVATE)
        write(file, made["root_token"], mode=PRIVATE)
    if not file.exists():
        raise ClusterError(
            f"OpenBao has data and {file} is missing, so nobody can log in: `make clean`, then `make up`"
        )
    token = file.read_text()
    client.token = token
    # A fresh server is a standby for a moment after it has been initialised, then answers writes.
    _until(lambda: answers(f"{instance.vault_address}/v1/sys/health"))
    if f"{KV_MOUNT}/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("kv", path=KV_MOUNT, options={"version": "2"})
        # Version 2 is an upgrade of version 1 that goes on after the answer.
        url, headers = f"{instance.vault_address}/v1/{KV_MOUNT}/config", {"X-Vault-Token": token}
        _until(lambda: answers(url, headers=headers))
    return token


def nomad_token(instance: Instance) -> str:
    """The token that Nomad's servers hold to derive those of the jobs; a new one if the last has run out."""
    client = hvac.Client(url=instance.vault_address, token=instance.root_token_file.read_text())
    token = stored_nomad_token(instance)
    if token:
        try:
            client.auth.token.lookup(token)
        except (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest, hvac.exceptions.InvalidPath):
            pass
        else:
            return token
    client.sys.create_or_update_policy(NOMAD_POLICY, NOMAD_RULES)
    client.auth.token.create_or_update_role(
        NOMAD_ROLE,
        disallowed_policies=[NOMAD_POLICY],
        orphan=True,
        renewable=True,
        token_explicit_max_ttl=0,
        token_period=NOMAD_PERIOD,
    )
    made = client.auth.token.create_orphan(policies=[NOMAD_POLICY], period=NOMAD_PERIOD)
    token = str(made["auth"]["client_token"])
    write(_nomad_token_file(instance), token, mode=PRIVATE)
    return token


def stored_nomad_token(instance: Instance) -> str:
    """The token that Nomad was last given, "" before the first start."""
    file = _nomad_token_file(instance)
    return file.read_text() if file.exists() else ""


def _nomad_token_file(instance: Instance) -> Path:
    return instance.root / "nomad" / "vault-token"


def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError("OpenBao is not ready 90 s after it was initialised: its log tells why")
        time.sleep(0.1)
