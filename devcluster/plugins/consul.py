"""Local stand-in for the consul plugin: service-defaults (Consul API: Config)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pulumi_consul.config_entry_service_defaults import ConfigEntryServiceDefaultsArgs

from devcluster.plugins.api import Api
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.serve import main
from devcluster.plugins.values import Plain

_SCALARS = {
    "protocol": "Protocol",
    "mode": "Mode",
    "externalSni": "ExternalSNI",
    "meta": "Meta",
    "localConnectTimeoutMs": "LocalConnectTimeoutMs",
    "localRequestTimeoutMs": "LocalRequestTimeoutMs",
    "maxInboundConnections": "MaxInboundConnections",
    "balanceInboundConnections": "BalanceInboundConnections",
}
_PATH = {
    "path": "Path",
    "localPathPort": "LocalPathPort",
    "listenerPort": "ListenerPort",
    "protocol": "Protocol",
}


class ServiceDefaults(Resource):
    """Lists of blocks hold at most one, as in the published plugin."""

    type_name = "consul:index/configEntryServiceDefaults:ConfigEntryServiceDefaults"
    args = ConfigEntryServiceDefaultsArgs
    outputs = ("kind",)
    autonamed = True
    replacing = frozenset({"name", "exposes"})
    absent = frozenset(
        {"namespace", "partition", "destinations", "envoyExtensions", "mutualTlsMode", "upstreamConfigs"}
    )

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Writes the entry, overwriting one of that name."""
        await self._api.call("PUT", "/v1/config", body=_entry(new))
        found = await self.read(new["name"], new)
        return found or (new["name"], {})

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The entry under its name, which is its import id too."""
        entry = await self._api.call("GET", f"/v1/config/service-defaults/{resource_id}")
        return None if entry is None else (resource_id, {"kind": "service-defaults", **_properties(entry)})

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Consul replaces the whole entry."""
        return (await self.create(new, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Consul answers a delete of nothing with success."""
        await self._api.call("DELETE", f"/v1/config/service-defaults/{resource_id}")


def _entry(new: Plain) -> Plain:
    entry: Plain = {"Kind": "service-defaults", "Name": new["name"]}
    entry |= {key: new[name] for name, key in _SCALARS.items() if name in new}
    for block in new.get("exposes", [])[:1]:
        paths = [{_PATH[key]: value for key, value in path.items()} for path in block.get("paths") or []]
        entry["Expose"] = {"Checks": block.get("checks", False), "Paths": paths}
    for block in new.get("meshGateways", [])[:1]:
        entry["MeshGateway"] = {"Mode": block["mode"]}
    for block in new.get("transparentProxies", [])[:1]:
        entry["TransparentProxy"] = {
            "OutboundListenerPort": block["outboundListenerPort"],
            "DialedDirectly": block["dialedDirectly"],
        }
    return entry


def _properties(entry: Plain) -> Plain:
    """The published plugin always reads the three blocks: one that the program leaves out is a change."""
    found = {name: entry[key] for name, key in _SCALARS.items() if entry.get(key)}
    expose, mesh = entry.get("Expose") or {}, entry.get("MeshGateway") or {}
    proxy = entry.get("TransparentProxy") or {}
    paths = [
        {name: path[key] for name, key in _PATH.items() if path.get(key)}
        for path in expose.get("Paths") or []
    ]
    return found | {
        "name": entry["Name"],
        "exposes": [{"checks": expose.get("Checks", False), "paths": paths}],
        "meshGateways": [{"mode": mesh.get("Mode", "")}],
        "transparentProxies": [
            {
                "outboundListenerPort": proxy.get("OutboundListenerPort", 0),
                "dialedDirectly": proxy.get("DialedDirectly", False),
            }
        ],
    }


class Consul(LocalProvider):
    """The settings that a homelab uses; the rest of the published plugin's are refused."""

    name = "consul"
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "address": ("CONSUL_HTTP_ADDR",),
        "scheme": ("CONSUL_SCHEME",),
        "token": ("CONSUL_HTTP_TOKEN",),
        "datacenter": ("CONSUL_DATACENTER",),
    }
    required = ("address",)

    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """`address` is host:port, or a URL as CONSUL_HTTP_ADDR allows."""
        address = settings.get("address", "")
        base = address if "://" in address else f"{settings.get('scheme', 'http')}://{address}"
        headers = {"X-Consul-Token": settings["token"]} if settings.get("token") else {}
        params = {"dc": settings["datacenter"]} if settings.get("datacenter") else {}
        return [ServiceDefaults(Api("Consul", base, "the setting consul:address", headers, params))]


if __name__ == "__main__":
    main(Consul)
