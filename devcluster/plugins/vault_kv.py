"""Secrets in a KV version 2 engine (Vault API: KV secrets engine, version 2)."""

import json
from typing import Any

import pulumi_vault as vault

from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_resource import VaultResource


class SecretV2(VaultResource):
    """A secret in a KV v2 mount; id `<mount>/data/<name>`."""

    type_name = "vault:kv/secretV2:SecretV2"
    args = vault.kv.SecretV2Args
    outputs = ("data", "metadata", "path")
    volatile = ("data", "metadata")
    autonamed = True
    replacing = frozenset({"mount", "name"})
    secret = frozenset({"data", "dataJson"})
    absent = frozenset({"namespace", "cas", "options", "customMetadata", "dataJsonWo", "dataJsonWoVersion"})

    async def comparable(self, key: str, value: Any, properties: Plain) -> Any:
        """`dataJson` is compared as data."""
        if key == "dataJson" and value:
            return _normalised(value)
        return await super().comparable(key, value, properties)

    async def planned(self, new: Plain) -> Plain:
        """Where it will be is known before it is there."""
        return {"path": _secret_id(new)}

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Writes a new version on top of what may be there."""
        resource_id = _secret_id(new)
        try:
            data = json.loads(new.get("dataJson", "{}"))
        except ValueError as error:
            raise PluginError(f"{resource_id}: dataJson is no JSON: write it with json.dumps") from error
        await self._api.call("POST", f"/v1/{resource_id}", body={"data": data})
        return resource_id, await self._stored(resource_id) or {}

    async def _stored(self, resource_id: str) -> Plain | None:
        found = await self._api.call("GET", f"/v1/{resource_id}")
        if found is None:  # never written, or its latest version deleted
            return None
        data, metadata = found["data"]["data"], found["data"]["metadata"]
        return {
            "path": resource_id,
            "dataJson": json.dumps(data, sort_keys=True),
            "data": {
                key: value if isinstance(value, str) else json.dumps(value) for key, value in data.items()
            },
            "metadata": {
                key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()
            },
        }

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The latest version, unless `disableRead`."""
        mount, found, name = resource_id.partition("/data/")
        if not found:
            raise PluginError(f"{resource_id!r} is no id of a KV v2 secret: give <mount>/data/<name>")
        if old.get("disableRead"):
            return resource_id, old
        stored = await self._stored(resource_id)
        return None if stored is None else (resource_id, {**old, "mount": mount, "name": name, **stored})

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """A new version, or only a switch in the state."""
        if _normalised(new.get("dataJson", "{}")) == _normalised(old.get("dataJson", "{}")):
            return {key: old[key] for key in self.outputs if key in old}
        return {**(await self.create(new, call))[1], "dataJson": new.get("dataJson", "{}")}

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes the latest version, which can be undeleted, or with `deleteAllVersions` all of it."""
        path = resource_id.replace("/data/", "/metadata/", 1) if old.get("deleteAllVersions") else resource_id
        await self._api.call("DELETE", f"/v1/{path}")


def _secret_id(new: Plain) -> str:
    return f"{new['mount'].strip('/')}/data/{new['name']}"


def _normalised(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text
