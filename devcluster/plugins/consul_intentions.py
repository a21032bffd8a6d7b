"""Consul's service-intentions: which services of a mesh may call another (Consul API: Config)."""

from collections.abc import Iterator
from typing import Any

from pulumi.provider.experimental.provider import CheckFailure
from pulumi_consul.config_entry_service_intentions import ConfigEntryServiceIntentionsArgs

from devcluster.plugins.consul_entry import ConfigEntry
from devcluster.plugins.values import UNKNOWN, Plain

_SOURCE = {
    "name": "Name",
    "peer": "Peer",
    "action": "Action",
    "precedence": "Precedence",
    "type": "Type",
    "description": "Description",
}


class ServiceIntentions(ConfigEntry):
    """As published, what Consul fills in is a change unless the program writes it too.

    That is each source's `precedence` (9 for a name, 8 for "*"), and the order: highest precedence first.
    """

    type_name = "consul:index/configEntryServiceIntentions:ConfigEntryServiceIntentions"
    args = ConfigEntryServiceIntentionsArgs
    kind = "service-intentions"
    replacing = frozenset({"name"})
    absent = frozenset({"partition", "jwts"})

    def check(self, new: Plain) -> Iterator[CheckFailure]:
        """Also refuses what this stand-in would drop from a source."""
        yield from super().check(new)
        sources = new.get("sources", [])
        for index, source in enumerate(sources if sources != UNKNOWN else []):
            for key in sorted({*source} - {*_SOURCE}):
                yield CheckFailure(
                    f"sources[{index}].{key}", f"the local stand-in of {self.type_name} does not implement it"
                )

    async def comparable(self, key: str, value: Any, properties: Plain) -> Any:
        """A source's `type` has a default."""
        if key == "sources" and value:
            value = [{"type": "consul", **source} for source in value]
        return await super().comparable(key, value, properties)

    def _entry(self, new: Plain) -> Plain:
        return {
            "Meta": new.get("meta", {}),
            "Sources": [
                {_SOURCE[key]: value for key, value in source.items()} for source in new.get("sources", [])
            ],
        }

    def _properties(self, entry: Plain) -> Plain:
        sources = [
            {name: source[key] for name, key in _SOURCE.items() if source.get(key)}
            for source in entry.get("Sources") or []
        ]
        return {"meta": entry.get("Meta") or {}, "sources": sources}
