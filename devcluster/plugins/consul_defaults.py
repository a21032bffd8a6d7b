"""Consul's service-defaults (Consul API: Config)."""

from pulumi_consul.config_entry_service_defaults import ConfigEntryServiceDefaultsArgs

from devcluster.plugins.consul_entry import ConfigEntry
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


class ServiceDefaults(ConfigEntry):
    """Lists of blocks hold at most one, as in the published plugin."""

    type_name = "consul:index/configEntryServiceDefaults:ConfigEntryServiceDefaults"
    args = ConfigEntryServiceDefaultsArgs
    kind = "service-defaults"
    outputs = ("kind",)
    replacing = frozenset({"name", "exposes"})
    absent = frozenset({"partition", "destinations", "envoyExtensions", "mutualTlsMode", "upstreamConfigs"})

    def _entry(self, new: Plain) -> Plain:
        entry: Plain = {key: new[name] for name, key in _SCALARS.items() if name in new}
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

    def _properties(self, entry: Plain) -> Plain:
        """The published plugin always reads the three blocks: one that the program leaves out is a change."""
        found = {name: entry[key] for name, key in _SCALARS.items() if entry.get(key)}
        expose, mesh = entry.get("Expose") or {}, entry.get("MeshGateway") or {}
        proxy = entry.get("TransparentProxy") or {}
        paths = [
            {name: path[key] for name, key in _PATH.items() if path.get(key)}
            for path in expose.get("Paths") or []
        ]
        return found | {
            "kind": self.kind,
            "exposes": [{"checks": expose.get("Checks", False), "paths": paths}],
            "meshGateways": [{"mode": mesh.get("Mode", "")}],
            "transparentProxies": [
                {
                    "outboundListenerPort": proxy.get("OutboundListenerPort", 0),
                    "dialedDirectly": proxy.get("DialedDirectly", False),
                }
            ],
        }
