"""Secrets engines and auth methods as mounts (Vault API: /sys/mounts, /sys/auth, /sys/remount)."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi_vault as vault

from devcluster.plugins.api import Api
from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call, Change
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_resource import Fields

_NOT_MOUNTED = "No secret engine mount at"  # also of an auth method; Vault answers 400, not 404


async def mount_at(api: Api, path: str) -> Plain | None:
    """What is mounted there, None if nothing is; an auth method's path begins with `auth/`.

    Of auth methods too this asks /sys/mounts, as the published plugin does: /sys/auth/<path> takes sudo.
    """
    try:
        found = await api.call("GET", f"/v1/sys/mounts/{path}")
    except PluginError as error:
        if _NOT_MOUNTED in str(error):
            return None
        raise
    return None if found is None else dict(found["data"])


async def remount(api: Api, before: str, after: str) -> None:
    """Vault moves a mount in the background and tells by an id how far it is."""
    moving = await api.call("POST", "/v1/sys/remount", body={"from": before, "to": after})
    path = f"/v1/sys/remount/status/{moving['migration_id']}"
    while True:
        status = (await api.call("GET", path))["data"]["migration_info"]["status"]
        if status == "success":
            return
        if status != "in-progress":
            raise PluginError(f"Vault: moving {before} to {after}: {status}; see Vault's log")
        await asyncio.sleep(0.2)


class Mount(Fields):
    """A secrets engine; its id is the path where it was first mounted."""

    type_name = "vault:index/mount:Mount"
    args = vault.MountArgs
    outputs = ("accessor", "defaultLeaseTtlSeconds", "maxLeaseTtlSeconds", "sealWrap")
    computed = frozenset({"defaultLeaseTtlSeconds", "maxLeaseTtlSeconds", "sealWrap"})
    replacing = frozenset({"type", "local", "sealWrap"})
    absent = frozenset(
        {
            "namespace",
            "allowedManagedKeys",
            "allowedResponseHeaders",
            "auditNonHmacRequestKeys",
            "auditNonHmacResponseKeys",
            "delegatedAuthAccessors",
            "externalEntropyAccess",
            "forceNoCache",
            "identityTokenKey",
            "passthroughRequestHeaders",
            "pluginVersion",
        }
    )
    elsewhere = frozenset({"path"})

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Mounts it; something that is mounted there already is an error."""
        path = new["path"].strip("/")
        body: Plain = {key: new[key] for key in ("type", "description", "local", "options") if key in new}
        body |= {"seal_wrap": new.get("sealWrap", False), "config": _config(new)}
        await self._api.call("POST", f"/v1/sys/mounts/{path}", body=body)
        return path, await self._stored(path, new)

    async def _stored(self, path: str, old: Plain) -> Plain:
        found = await self.read(path, {**old, "path": path})
        return found[1] if found else {}

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The mount with its own time limits: 0 where the server's hold."""
        path = old.get("path", resource_id).strip("/")  # a mount that moved has its first path as id
        mount = await mount_at(self._api, path)
        if mount is None:
            return None
        limits = {
            "default_lease_ttl_seconds": mount["config"]["default_lease_ttl"],
            "max_lease_ttl_seconds": mount["config"]["max_lease_ttl"],
            "listing_visibility": mount["config"].get("listing_visibility"),
        }
        return resource_id, {
            "path": path,
            "accessor": mount["accessor"],
            **self._properties(old, {**mount, **limits}),
        }

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Moves it if its path changed, with all that is in it."""
        path = new["path"].strip("/")
        if path != old["path"]:
            await remount(self._api, old["path"], path)
        body = {**_config(new), "description": new.get("description", ""), "options": new.get("options", {})}
        await self._api.call("POST", f"/v1/sys/mounts/{path}/tune", body=body)
        return await self._stored(path, new)

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Unmounts it; all that is in it is gone."""
        await self._api.call("DELETE", f"/v1/sys/mounts/{old['path']}")


def _config(new: Plain) -> Plain:
    return {
        "default_lease_ttl": f"{new.get('defaultLeaseTtlSeconds', 0)}s",
        "max_lease_ttl": f"{new.get('maxLeaseTtlSeconds', 0)}s",
        "listing_visibility": new.get("listingVisibility", ""),
    }


class AuthMount(Fields):
    """An auth method; its id is the path where it was first mounted."""

    outputs = ("accessor",)
    replacing = frozenset({"type", "local"})
    absent = frozenset({"namespace", "tune"})
    elsewhere = frozenset({"path", "disableRemount"})

    async def changes(self, old: Plain, new: Plain) -> list[Change]:
        """A new path moves the mount, unless `disableRemount` asks for a new one."""
        found = await super().changes(old, new)
        if not new.get("disableRemount"):
            return found
        return [Change(one.path, one.kind, one.replaces or one.path == "path") for one in found]

    async def _enable(self, path: str, new: Plain) -> None:
        mount = {key: new[key] for key in ("type", "description", "local") if key in new}
        await self._api.call("POST", f"/v1/sys/auth/{path}", body=mount)

    async def _accessor(self, path: str) -> Plain:
        mount = await mount_at(self._api, f"auth/{path}")
        return {"accessor": mount["accessor"]} if mount else {}

    async def _mounted(self, resource_id: str, old: Plain) -> Plain | None:
        path = old.get("path", resource_id).strip("/")  # a mount that moved has its first path as id
        mount = await mount_at(self._api, f"auth/{path}")
        if mount is None:
            return None
        kept = {key: old[key] for key in ("disableRemount",) if key in old}
        described = {key: mount[key] for key in ("description", "local") if mount.get(key) or key in old}
        return {**kept, **described, "path": path, "type": mount["type"], "accessor": mount["accessor"]}

    async def _move(self, path: str, old: Plain, new: Plain) -> None:
        if path != old["path"]:
            await remount(self._api, f"auth/{old['path']}", f"auth/{path}")
        if new.get("description") != old.get("description"):
            body = {"description": new.get("description", "")}
            await self._api.call("POST", f"/v1/sys/mounts/auth/{path}/tune", body=body)

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Unmounts it with all its roles."""
        await self._api.call("DELETE", f"/v1/sys/auth/{old['path']}")


class AuthBackend(AuthMount):
    """An auth method without configuration of its own, such as approle; mounted at its type by default."""

    type_name = "vault:index/authBackend:AuthBackend"
    args = vault.AuthBackendArgs
    computed = frozenset({"path"})
    absent = AuthMount.absent | {"identityTokenKey"}

    async def planned(self, new: Plain) -> Plain:
        """Where it will be is known before it is there."""
        return {"path": _auth_path(new)}

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Mounts it; something that is mounted there already is an error."""
        path = _auth_path(new)
        await self._enable(path, new)
        return path, {"path": path, **await self._accessor(path)}

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The mount."""
        found = await self._mounted(resource_id, old)
        return None if found is None else (resource_id, found)

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Moves the mount if its path changed; the id stays, as it must within an update."""
        path = _auth_path({**old, **new})
        await self._move(path, old, new)
        return {"path": path, **await self._accessor(path)}


def _auth_path(new: Mapping[str, Any]) -> str:
    return str(new.get("path") or new["type"]).strip("/")
