"""Vault's identity store: keys and roles of its own tokens, groups (Vault API: Identity secrets engine)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pulumi_vault import identity

from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_resource import Endpoint, Fields


class OidcKey(Endpoint):
    """A named key that signs identity tokens; Vault refuses to delete one that a role uses."""

    type_name = "vault:identity/oidcKey:OidcKey"
    args = identity.OidcKeyArgs
    autonamed = True
    id_form = "{name}"
    path_form = "identity/oidc/key/{name}"
    outputs = ("allowedClientIds",)
    computed = frozenset({"allowedClientIds"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "rotationPeriod": 86400,
        "verificationTtl": 86400,
        "algorithm": "RS256",
    }
    replacing = frozenset({"name"})
    unordered = frozenset({"allowedClientIds"})
    elsewhere = frozenset({"name"})


class OidcRole(Endpoint):
    """The claims of a kind of identity token and its life time; Vault makes a client id if none is given."""

    type_name = "vault:identity/oidcRole:OidcRole"
    args = identity.OidcRoleArgs
    autonamed = True
    id_form = "{name}"
    path_form = "identity/oidc/role/{name}"
    outputs = ("clientId",)
    computed = frozenset({"clientId"})
    defaults: ClassVar[Mapping[str, Any]] = {"ttl": 86400}
    replacing = frozenset({"name", "key"})
    elsewhere = frozenset({"name"})


class _Numbered(Fields):
    """A thing whose id Vault makes."""

    collection: ClassVar[str]  # path of the API

    def _decoded(self, properties: Plain) -> Plain:
        """The properties as the published plugin compares them."""
        return properties

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Makes it; Vault answers nothing where it changed one of that name instead."""
        made = await self._api.call("POST", f"/v1/{self.collection}", body=self._body({}, new))
        if not made.get("data"):
            raise PluginError(
                f"Vault: {self.collection} {new['name']!r} exists already: import it, or use another name"
            )
        return made["data"]["id"], {}

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """What Vault has under that id."""
        found = await self._api.call("GET", f"/v1/{self.collection}/id/{resource_id}")
        return None if found is None else (resource_id, self._decoded(self._properties(old, found["data"])))

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Its name too may change."""
        await self._api.call("POST", f"/v1/{self.collection}/id/{resource_id}", body=self._body(old, new))
        return {}

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes it."""
        await self._api.call("DELETE", f"/v1/{self.collection}/id/{resource_id}")


class Group(_Numbered):
    """A group; who is in an external one is decided at log-in, so its members are no difference."""

    type_name = "vault:identity/group:Group"
    args = identity.GroupArgs
    autonamed = True
    collection = "identity/group"
    defaults: ClassVar[Mapping[str, Any]] = {"type": "internal"}
    replacing = frozenset({"type"})
    unordered = frozenset({"policies", "memberEntityIds", "memberGroupIds"})
    absent = frozenset({"namespace", "externalPolicies", "externalMemberEntityIds", "externalMemberGroupIds"})

    def _decoded(self, properties: Plain) -> Plain:
        if properties.get("type") != "external":
            return properties
        return {
            key: value
            for key, value in properties.items()
            if key not in ("memberEntityIds", "memberGroupIds")
        }


class GroupAlias(_Numbered):
    """The name that an auth method gives an external group."""

    type_name = "vault:identity/groupAlias:GroupAlias"
    args = identity.GroupAliasArgs
    collection = "identity/group-alias"
