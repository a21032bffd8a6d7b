"""JWT and OIDC auth methods and their roles (Vault API: JWT/OIDC auth method)."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi_vault as vault

from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_mount import AuthMount
from devcluster.plugins.vault_resource import Endpoint


class JwtAuthBackend(AuthMount):
    """The method and its config; Vault asks an `oidcDiscoveryUrl` when the config is written."""

    type_name = "vault:jwt/authBackend:AuthBackend"
    args = vault.jwt.AuthBackendArgs
    defaults: ClassVar[Mapping[str, Any]] = {"path": "jwt", "type": "jwt"}
    secret = frozenset({"oidcClientSecret"})
    absent = AuthMount.absent | {"oidcClientSecretWo", "oidcClientSecretWoVersion"}
    elsewhere = AuthMount.elsewhere | {"type", "description", "local"}
    server_defaults: ClassVar[Mapping[str, Any]] = {"namespaceInState": True}

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Mounts it, then writes its config; without a valid config the mount is taken back."""
        path = new["path"].strip("/")
        await self._enable(path, new)
        try:
            await self._api.call("POST", f"/v1/auth/{path}/config", body=self._body({}, new))
        except PluginError:
            await self._api.call("DELETE", f"/v1/sys/auth/{path}")
            raise
        return path, await self._accessor(path)

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """Mount and config; the server never tells the client secret, so that stays as it was."""
        mounted = await self._mounted(resource_id, old)
        if mounted is None:
            return None
        config = await self._api.call("GET", f"/v1/auth/{mounted['path']}/config") or {"data": {}}
        # The published plugin reads `tune` too: a token that lacks the right is refused here as there.
        await self._api.call("GET", f"/v1/sys/mounts/auth/{mounted['path']}/tune")
        kept = {key: old[key] for key in ("oidcClientSecret",) if key in old}
        return resource_id, {**kept, **mounted, **self._properties(old, config["data"])}

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Moves the mount if its path changed; the id stays, as it must within an update."""
        path = new["path"].strip("/")
        await self._move(path, old, new)
        await self._api.call("POST", f"/v1/auth/{path}/config", body=self._body(old, new))
        return await self._accessor(path)


class JwtRole(Endpoint):
    """A role of either method; several accepted values of a claim are one string with commas.

    As published, Vault gets a list for each claim, also of one value.
    """

    type_name = "vault:jwt/authBackendRole:AuthBackendRole"
    args = vault.jwt.AuthBackendRoleArgs
    id_form = path_form = "auth/{backend}/role/{roleName}"
    defaults: ClassVar[Mapping[str, Any]] = {"backend": "jwt", "roleType": "oidc"}
    replacing = frozenset({"backend", "roleName", "roleType"})
    unordered = frozenset(
        {"allowedRedirectUris", "boundAudiences", "oidcScopes", "tokenBoundCidrs", "tokenPolicies"}
    )
    elsewhere = frozenset({"backend", "roleName", "disableBoundClaimsParsing"})
    server_defaults: ClassVar[Mapping[str, Any]] = {"boundClaimsType": "string", "tokenType": "default"}

    def _encoded(self, body: Plain, new: Plain) -> Plain:
        if "bound_claims" not in body or new.get("disableBoundClaimsParsing"):
            return body
        return {**body, "bound_claims": {key: _split(value) for key, value in body["bound_claims"].items()}}

    def _decoded(self, properties: Plain) -> Plain:
        if claims := properties.get("boundClaims"):
            joined = {
                key: ",".join(value) if isinstance(value, list) else value for key, value in claims.items()
            }
            return {**properties, "boundClaims": joined}
        return properties


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]
