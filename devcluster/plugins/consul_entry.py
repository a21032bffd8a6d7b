"""What Consul's config entries have in common (Consul API: Config)."""

from abc import abstractmethod
from typing import Any, ClassVar

from devcluster.plugins.api import Api
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.values import Plain


class ConfigEntry(Resource):
    """An entry of one kind; its name is its id and its import id too.

    `namespace` goes to Consul as it is: one that has no namespaces refuses it at `up`.
    """

    kind: ClassVar[str]
    maps = frozenset({"meta"})
    autonamed = True

    def __init__(self, api: Api) -> None:
        self._api = api

    async def comparable(self, key: str, value: Any, properties: Plain) -> Any:
        """As published, a map that is added or taken away is told key by key: `meta.by`."""
        compared = await super().comparable(key, value, properties)
        return {} if compared is None and key in self.maps else compared

    @abstractmethod
    def _entry(self, new: Plain) -> Plain:
        """The entry's own fields as Consul takes them."""

    @abstractmethod
    def _properties(self, entry: Plain) -> Plain:
        """The fields as the published plugin keeps them."""

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Writes the entry, overwriting one of that name."""
        body = {"Kind": self.kind, "Name": new["name"], **self._entry(new)}
        await self._api.call("PUT", "/v1/config", body=body, params=_in(new))
        found = await self.read(new["name"], new)
        return found or (new["name"], {})

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The entry under its name."""
        entry = await self._api.call("GET", f"/v1/config/{self.kind}/{resource_id}", params=_in(old))
        if entry is None:
            return None
        kept = {key: old[key] for key in ("namespace",) if key in old}
        return resource_id, {**kept, "name": entry["Name"], **self._properties(entry)}

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Consul replaces the whole entry."""
        return (await self.create(new, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Consul answers a delete of nothing with success."""
        await self._api.call("DELETE", f"/v1/config/{self.kind}/{resource_id}", params=_in(old))


def _in(properties: Plain) -> Plain:
    return {"ns": properties["namespace"]} if properties.get("namespace") else {}
