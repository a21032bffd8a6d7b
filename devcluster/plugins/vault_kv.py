"""Secrets in a KV version 2 engine (Vault API: KV secrets engine, version 2)."""

import json
import re
from typing import Any

import pulumi_vault as vault

from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_resource import VaultResource

_UNITS = {"h": 3600, "m": 60, "s": 1}
_CUSTOM = {
    "casRequired": "cas_required",
    "data": "custom_metadata",
    "deleteVersionAfter": "delete_version_after",
    "maxVersions": "max_versions",
}


class SecretV2(VaultResource):
    """A secret in a KV v2 mount; id `<mount>/data/<name>`.

    As published, contents are not read back: one that was changed or deleted by hand is unseen while its
    metadata is there. `customMetadata` is read back, so that each update writes the metadata too.
    """

    type_name = "vault:kv/secretV2:SecretV2"
    args = vault.kv.SecretV2Args
    outputs = ("customMetadata", "data", "metadata", "path")
    volatile = ("data", "metadata")
    computed = frozenset({"customMetadata"})
    autonamed = True
    replacing = frozenset({"mount", "name"})
    secret = frozenset({"data", "dataJson"})
    absent = frozenset({"namespace", "cas", "options", "dataJsonWo", "dataJsonWoVersion"})

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
        return resource_id, await self._written(resource_id, new, new.get("customMetadata"))

    async def _written(self, resource_id: str, new: Plain, custom: Plain | None) -> Plain:
        """Writes the contents, and after them the metadata if any are known."""
        try:
            data = json.loads(new.get("dataJson", "{}"))
        except ValueError as error:
            raise PluginError(f"{resource_id}: dataJson is no JSON: write it with json.dumps") from error
        await self._api.call("POST", f"/v1/{resource_id}", body={"data": data})
        if custom:
            body = {field: custom[name] for name, field in _CUSTOM.items() if name in custom}
            await self._api.call("POST", _metadata_path(resource_id), body=body)
        contents = {"data": _texts(data), "metadata": {}, "path": resource_id}
        return contents if new.get("disableRead") else contents | (await self._stored(resource_id) or {})

    async def _stored(self, resource_id: str) -> Plain | None:
        """All that the server tells but the contents; None if even the metadata is gone."""
        version = await self._api.call("GET", f"/v1/{resource_id}")
        found = await self._api.call("GET", _metadata_path(resource_id))
        if found is None:
            return None
        custom = {name: found["data"].get(field) for name, field in _CUSTOM.items()}
        custom["deleteVersionAfter"] = _seconds(custom["deleteVersionAfter"] or "0s")
        told = {"path": resource_id, "customMetadata": {**custom, "data": custom["data"] or {}}}
        return told | ({"metadata": _texts(version["data"]["metadata"])} if version else {})

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """What is beside the contents, unless `disableRead`; an import gets no contents either."""
        mount, found, name = resource_id.partition("/data/")
        if not found:
            raise PluginError(f"{resource_id!r} is no id of a KV v2 secret: give <mount>/data/<name>")
        if old.get("disableRead"):
            return resource_id, old
        stored = await self._stored(resource_id)
        return None if stored is None else (resource_id, {**old, "mount": mount, "name": name, **stored})

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """A new version whatever changed, and the metadata that it was last read with."""
        return await self._written(resource_id, new, new.get("customMetadata") or old.get("customMetadata"))

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes the latest version, which can be undeleted, or with `deleteAllVersions` all of it."""
        path = _metadata_path(resource_id) if old.get("deleteAllVersions") else f"/v1/{resource_id}"
        await self._delete_at(path)


def _metadata_path(resource_id: str) -> str:
    return "/v1/" + resource_id.replace("/data/", "/metadata/", 1)


def _texts(values: Plain) -> dict[str, str]:
    """As the plugin keeps maps: what is not text, as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _seconds(duration: str) -> int:
    """Of Vault's text such as "1h30m0s"."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def _secret_id(new: Plain) -> str:
    return f"{new['mount'].strip('/')}/data/{new['name']}"


def _normalised(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text
