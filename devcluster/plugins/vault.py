"""Local stand-in for the vault plugin, against Vault's HTTP API (OpenBao serves the same)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from devcluster.plugins.api import Api
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Resource
from devcluster.plugins.vault_approle import AppRole
from devcluster.plugins.vault_identity import Group, GroupAlias, OidcKey, OidcRole
from devcluster.plugins.vault_jwt import JwtAuthBackend, JwtRole
from devcluster.plugins.vault_kv import SecretV2
from devcluster.plugins.vault_mount import AuthBackend, Mount
from devcluster.plugins.vault_pki import PkiRole, RootCert
from devcluster.plugins.vault_policy import Policy

_TYPES = (
    Policy,
    SecretV2,
    Mount,
    AuthBackend,
    JwtAuthBackend,
    JwtRole,
    AppRole,
    RootCert,
    PkiRole,
    OidcKey,
    OidcRole,
    Group,
    GroupAlias,
)


class Vault(LocalProvider):
    """The given token is used as it is: the published plugin makes a child token unless `skipChildToken`."""

    name = "vault"
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "address": ("VAULT_ADDR",),
        "token": ("VAULT_TOKEN",),
        "namespace": ("VAULT_NAMESPACE",),
        "skipChildToken": (),
    }
    required = ("address", "token")

    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """All types, on one connection."""
        headers = {"X-Vault-Token": settings.get("token", ""), "X-Vault-Request": "true"}
        if settings.get("namespace"):
            headers["X-Vault-Namespace"] = settings["namespace"]
        api = Api("Vault", settings.get("address", ""), "the setting vault:address", headers)
        return [kind(api) for kind in _TYPES]


PROVIDER = Vault
