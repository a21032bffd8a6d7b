"""Vault's ACL policies (Vault API: /sys/policies/acl)."""

import pulumi_vault as vault

from devcluster.plugins.resource import Call
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_resource import VaultResource


class Policy(VaultResource):
    """An ACL policy; creating one overwrites a policy of that name, as the published plugin does."""

    type_name = "vault:index/policy:Policy"
    args = vault.PolicyArgs
    autonamed = True
    replacing = frozenset({"name"})
    absent = frozenset({"namespace", "allowOverwrite"})

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Its id is its name."""
        await self._api.call("PUT", f"/v1/sys/policies/acl/{new['name']}", body={"policy": new["policy"]})
        return new["name"], {}

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain]:
        """The policy's text as the server stores it; as published, a deleted one counts as an empty one."""
        found = await self._api.call("GET", f"/v1/sys/policies/acl/{resource_id}")
        text = found["data"]["policy"] if found else ""
        return resource_id, {**old, "name": resource_id, "policy": text}

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Vault replaces the whole text."""
        return (await self.create(new, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Tokens that carry the policy keep its name without any right."""
        await self._api.call("DELETE", f"/v1/sys/policies/acl/{resource_id}")
