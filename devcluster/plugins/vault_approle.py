"""Roles of the approle auth method (Vault API: AppRole auth method)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pulumi_vault import approle

from devcluster.plugins.resource import Call
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_resource import Endpoint


class AppRole(Endpoint):
    """Vault makes the role id, unless the program gives one; secret ids are made elsewhere."""

    type_name = "vault:appRole/authBackendRole:AuthBackendRole"
    args = approle.AuthBackendRoleArgs
    id_form = path_form = "auth/{backend}/role/{roleName}"
    outputs = ("roleId",)
    computed = frozenset({"roleId"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "backend": "approle",
        "bindSecretId": True,
        "tokenType": "default",
    }
    replacing = frozenset({"backend", "roleName"})
    unordered = frozenset({"secretIdBoundCidrs", "tokenBoundCidrs", "tokenPolicies"})
    absent = frozenset({"namespace", "aliasMetadata"})
    elsewhere = frozenset({"backend", "roleName", "roleId"})

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The role, and the id that Vault has at a path of its own."""
        found = await super().read(resource_id, old)
        if found is None:
            return None
        answer = await self._api.call("GET", f"{self._path(resource_id)}/role-id")
        return resource_id, {**found[1], "roleId": answer["data"]["role_id"]}

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """The role, and its id if the program gives another."""
        stored = await super().update(resource_id, old, new, call)
        if new.get("roleId", stored["roleId"]) == stored["roleId"]:
            return stored
        body = {"role_id": new["roleId"]}
        await self._api.call("POST", f"{self._path(resource_id)}/role-id", body=body)
        return {**stored, "roleId": new["roleId"]}
