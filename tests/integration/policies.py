"""The rules in docs/policies, taken apart."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "policies"


def workload(settings):
    return settings.vault.identity == "workload"


def collects_with_secrets(settings):
    return bool(settings.maintenance.garbage_collection and settings.config_secrets)


# The headings of vault.hcl, and the settings that need the block below each.
BLOCKS = {
    "every stack": lambda settings: True,
    "vault.identity: workload": workload,
    "vault.workload.createBackend: true": lambda settings: (
        workload(settings) and settings.vault.workload.create_backend
    ),
    "storage.s3, registry.redis or registry.config with secrets": lambda settings: bool(
        settings.config_secrets
    ),
    "tls.mode: registry": lambda settings: (
        settings.tls.mode == "registry" and settings.tls.authority.role is None
    ),
    "auth.mode: htpasswd": lambda settings: settings.auth.mode == "htpasswd",
    "auth.mode: vault": lambda settings: settings.auth.mode == "vault",
    "auth.mode: vault, vault.identity: workload": lambda settings: (
        settings.auth.mode == "vault" and workload(settings)
    ),
    "auth.nodes, vault.identity: workload": lambda settings: bool(settings.auth.nodes) and workload(settings),
    "auth.nodes, vault.identity: policies": lambda settings: (
        bool(settings.auth.nodes) and not workload(settings)
    ),
    "auth.oidc": lambda settings: bool(settings.auth.oidc),
    "maintenance.garbageCollection of a bucket, or with registry.redis": collects_with_secrets,
    "maintenance.garbageCollection likewise, vault.identity: workload": lambda settings: (
        collects_with_secrets(settings) and workload(settings)
    ),
    "maintenance.backup": lambda settings: bool(settings.maintenance.backup),
    "maintenance.backup.s3": lambda settings: bool(
        settings.maintenance.backup and settings.maintenance.backup.s3
    ),
    "maintenance.backup, vault.identity: workload": lambda settings: (
        bool(settings.maintenance.backup) and workload(settings)
    ),
    "mirrors that read anything in Vault": lambda settings: settings.mirrors_use_vault,
    "mirrors with a user at their upstream": lambda settings: any(
        mirror.password for mirror in settings.mirrors.root
    ),
    "mirrors that read anything in Vault, vault.identity: workload": lambda settings: (
        settings.mirrors_use_vault and workload(settings)
    ),
}


def vault_blocks():
    """The blocks of vault.hcl by their headings: each a mapping of paths to capabilities."""
    _, *parts = re.split(r"^# ---- (.*) ----$", (FOLDER / "vault.hcl").read_text(), flags=re.MULTILINE)
    rule = re.compile(r'^path "([^"]+)" \{\n  capabilities = \[([^\]]+)\]\n\}$', re.MULTILINE)
    return {
        heading: {path: set(re.findall(r'"([a-z]+)"', rights)) for path, rights in rule.findall(text)}
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def vault_rules(settings):
    """What vault.hcl says that a stack needs."""
    blocks = vault_blocks()
    return {
        path: rights for name in BLOCKS if BLOCKS[name](settings) for path, rights in blocks[name].items()
    }


def vault_policy(rules):
    """A policy's text."""
    quoted = {path: ", ".join(f'"{right}"' for right in sorted(rights)) for path, rights in rules.items()}
    return "\n".join(f'path "{path}" {{ capabilities = [{rights}] }}' for path, rights in quoted.items())


def nomad_policy():
    return (FOLDER / "nomad.hcl").read_text()


def nomad_rules():
    """Each rule of nomad.hcl that can be taken out, as it is written."""
    return re.findall(r'^    "[a-z-]+",|^(?:host_volume|node) .*\}$', nomad_policy(), re.MULTILINE)


def consul_policy():
    return (FOLDER / "consul.hcl").read_text()
