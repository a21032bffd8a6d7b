"""Local stand-in for the vault plugin, against Vault's HTTP API (OpenBao serves the same)."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pulumi_vault as vault

from devcluster.plugins.api import Api
from devcluster.plugins.errors import PluginError
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.serve import main
from devcluster.plugins.values import Plain


class _VaultResource(Resource):
    """`namespace` per resource is left to the provider's setting of that name."""

    absent: ClassVar[frozenset[str]] = frozenset({"namespace"})

    def __init__(self, api: Api) -> None:
        self._api = api


class Policy(_VaultResource):
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

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The policy's text as the server stores it."""
        found = await self._api.call("GET", f"/v1/sys/policies/acl/{resource_id}")
        return found and (resource_id, {**old, "name": resource_id, "policy": found["data"]["policy"]})

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Vault replaces the whole text."""
        return (await self.create(new, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Tokens that carry the policy keep its name without any right."""
        await self._api.call("DELETE", f"/v1/sys/policies/acl/{resource_id}")


class SecretV2(_VaultResource):
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


class _Fields(_VaultResource):
    """Inputs that are the API's fields in camelCase."""

    elsewhere: ClassVar[frozenset[str]] = frozenset()  # inputs that are no field of the endpoint
    server_defaults: ClassVar[Mapping[str, Any]] = {}  # what the server fills in by itself

    def _body(self, old: Plain, new: Plain) -> Plain:
        """The fields to write; one that was taken out of the program goes back to its zero value."""
        body: Plain = {}
        for name, known in self.inputs.items():
            if name not in self.elsewhere and (name in new or name in old):
                body[known.field] = new.get(name, known.kind())
        return body

    def _properties(self, old: Plain, fields: Plain) -> Plain:
        """What the server has, without the defaults that neither program nor state speaks of."""
        found: Plain = {}
        for name, known in self.inputs.items():
            value = fields.get(known.field)
            default = self.server_defaults.get(name)
            if (
                name not in self.elsewhere
                and value is not None
                and (name in old or (value and value != default))
            ):
                found[name] = value
        return found


class AuthBackend(_Fields):
    """A JWT or OIDC auth method and its config; its id is the path."""

    type_name = "vault:jwt/authBackend:AuthBackend"
    args = vault.jwt.AuthBackendArgs
    outputs = ("accessor",)
    defaults: ClassVar[Mapping[str, Any]] = {"path": "jwt", "type": "jwt"}
    replacing = frozenset({"type", "local"})
    secret = frozenset({"oidcClientSecret"})
    absent = frozenset({"namespace", "tune", "oidcClientSecretWo", "oidcClientSecretWoVersion"})
    elsewhere = frozenset({"path", "type", "description", "local", "disableRemount", *absent})
    server_defaults: ClassVar[Mapping[str, Any]] = {"namespaceInState": True}

    async def changes(self, old: Plain, new: Plain) -> list[Any]:
        """A new path moves the mount, unless `disableRemount` asks for a new one."""
        found = await super().changes(old, new)
        if not new.get("disableRemount"):
            return found
        return [type(one)(one.path, one.kind, one.replaces or one.path == "path") for one in found]

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Mounts it, then writes its config; without a valid config the mount is taken back."""
        path = new["path"].strip("/")
        mount = {key: new[key] for key in ("type", "description", "local") if key in new}
        await self._api.call("POST", f"/v1/sys/auth/{path}", body=mount)
        try:
            await self._api.call("POST", f"/v1/auth/{path}/config", body=self._body({}, new))
        except PluginError:
            await self._api.call("DELETE", f"/v1/sys/auth/{path}")
            raise
        return path, await self._accessor(path)

    async def _accessor(self, path: str) -> Plain:
        mounts = await self._api.call("GET", "/v1/sys/auth")
        return {"accessor": mounts["data"][f"{path}/"]["accessor"]}

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """Mount and config; the server never tells the client secret, so that stays as it was."""
        path = old.get("path", resource_id).strip("/")  # a mount that moved has its first path as id
        mount = (await self._api.call("GET", "/v1/sys/auth"))["data"].get(f"{path}/")
        if mount is None:
            return None
        config = await self._api.call("GET", f"/v1/auth/{path}/config") or {"data": {}}
        kept = {key: old[key] for key in ("disableRemount", "oidcClientSecret") if key in old}
        described = {key: mount[key] for key in ("description", "local") if mount.get(key) or key in old}
        return resource_id, {
            **kept,
            **described,
            "path": path,
            "type": mount["type"],
            "accessor": mount["accessor"],
            **self._properties(old, config["data"]),
        }

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Moves the mount if its path changed; the id stays, as it must within an update."""
        path = new["path"].strip("/")
        if path != old["path"]:
            await self._remount(f"auth/{old['path']}", f"auth/{path}")
        if new.get("description") != old.get("description"):
            await self._api.call(
                "POST", f"/v1/sys/auth/{path}/tune", body={"description": new.get("description", "")}
            )
        await self._api.call("POST", f"/v1/auth/{path}/config", body=self._body(old, new))
        return await self._accessor(path)

    async def _remount(self, before: str, after: str) -> None:
        """Vault moves a mount in the background and tells by an id how far it is."""
        moving = await self._api.call("POST", "/v1/sys/remount", body={"from": before, "to": after})
        path = f"/v1/sys/remount/status/{moving['migration_id']}"
        while True:
            status = (await self._api.call("GET", path))["data"]["migration_info"]["status"]
            if status == "success":
                return
            if status != "in-progress":
                raise PluginError(f"Vault: moving {before} to {after}: {status}; see Vault's log")
            await asyncio.sleep(0.2)

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Unmounts it with all its roles."""
        await self._api.call("DELETE", f"/v1/sys/auth/{old['path']}")


class AuthBackendRole(_Fields):
    """A role of a JWT or OIDC auth method; id `auth/<backend>/role/<name>`."""

    type_name = "vault:jwt/authBackendRole:AuthBackendRole"
    args = vault.jwt.AuthBackendRoleArgs
    defaults: ClassVar[Mapping[str, Any]] = {"backend": "jwt", "roleType": "oidc"}
    replacing = frozenset({"backend", "roleName", "roleType"})
    unordered = frozenset(
        {"allowedRedirectUris", "boundAudiences", "oidcScopes", "tokenBoundCidrs", "tokenPolicies"}
    )
    elsewhere = frozenset({"backend", "roleName", "disableBoundClaimsParsing", "namespace"})
    server_defaults: ClassVar[Mapping[str, Any]] = {"boundClaimsType": "string", "tokenType": "default"}

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Its id is its path."""
        resource_id = f"auth/{new['backend'].strip('/')}/role/{new['roleName']}"
        await self._write(resource_id, {}, new)
        return resource_id, {}

    async def _write(self, resource_id: str, old: Plain, new: Plain) -> None:
        body = self._body(old, new)
        if "bound_claims" in body and not new.get("disableBoundClaimsParsing"):
            # The published plugin's way to give several accepted values in one string.
            claims = body["bound_claims"]
            body["bound_claims"] = {key: _split(value) for key, value in claims.items()}
        await self._api.call("POST", f"/v1/{resource_id}", body=body)

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The role, its several accepted claim values joined again."""
        parts = resource_id.split("/role/")
        if len(parts) != 2 or not resource_id.startswith("auth/"):
            raise PluginError(f"{resource_id!r} is no id of a JWT role: give auth/<backend>/role/<name>")
        found = await self._api.call("GET", f"/v1/{resource_id}")
        if found is None:
            return None
        properties = self._properties(old, found["data"])
        if claims := properties.get("boundClaims"):
            properties["boundClaims"] = {
                key: ",".join(value) if isinstance(value, list) else value for key, value in claims.items()
            }
        backend = parts[0].removeprefix("auth/")
        return resource_id, {**_kept(old), "backend": backend, "roleName": parts[1], **properties}

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Vault keeps fields that are not sent, so `_body` sends what was taken away too."""
        await self._write(resource_id, old, new)
        return {}

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Tokens already issued stay valid until they expire."""
        await self._api.call("DELETE", f"/v1/{resource_id}")


def _split(value: str) -> str | list[str]:
    return [part.strip() for part in value.split(",")] if "," in value else value


def _kept(old: Plain) -> Plain:
    return {key: old[key] for key in ("disableBoundClaimsParsing",) if key in old}


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
        """The four types, on one connection."""
        headers = {"X-Vault-Token": settings.get("token", ""), "X-Vault-Request": "true"}
        if settings.get("namespace"):
            headers["X-Vault-Namespace"] = settings["namespace"]
        api = Api("Vault", settings.get("address", ""), "the setting vault:address", headers)
        return [Policy(api), SecretV2(api), AuthBackend(api), AuthBackendRole(api)]


if __name__ == "__main__":
    main(Vault)
