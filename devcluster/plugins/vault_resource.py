"""What the vault plugin's resource types have in common."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from devcluster.plugins.api import Api
from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.values import Plain


class VaultResource(Resource):
    """`namespace` per resource is left to the provider's setting of that name."""

    absent: ClassVar[frozenset[str]] = frozenset({"namespace"})

    def __init__(self, api: Api) -> None:
        self._api = api

    async def _delete_at(self, path: str) -> None:
        """Deletes an object of a secrets engine; as published, one whose engine is gone is an error.

        Vault itself takes it for deleted if there is none of that name, and answers 404 where no engine is.
        """
        if await self._api.call("DELETE", path) is None:
            raise PluginError(f"Vault: DELETE {path}: 404: no handler for route")


class Fields(VaultResource):
    """Inputs that are the API's fields in camelCase."""

    renamed: ClassVar[Mapping[str, str]] = {}  # inputs that the SDK calls otherwise: the API's field
    elsewhere: ClassVar[frozenset[str]] = frozenset()  # inputs that are no field of the endpoint
    server_defaults: ClassVar[Mapping[str, Any]] = {}  # what the server fills in by itself

    def _fields(self) -> dict[str, str]:
        """The endpoint's fields by the inputs' names."""
        return {
            name: self.renamed.get(name, known.field)
            for name, known in self.inputs.items()
            if name not in self.elsewhere and name not in self.absent
        }

    def _body(self, old: Plain, new: Plain) -> Plain:
        """The fields to write; one that was taken out of the program goes back to its zero value."""
        return {
            field: new.get(name, self.inputs[name].kind())
            for name, field in self._fields().items()
            if name in new or (name in old and name not in self.computed)
        }

    def _properties(self, old: Plain, fields: Plain) -> Plain:
        """What the server has, without the defaults that neither program nor state speaks of."""
        return {
            name: value
            for name, field in self._fields().items()
            if (value := fields.get(field)) is not None
            and (name in self.computed or name in old or (value and value != self.server_defaults.get(name)))
        }


class Endpoint(Fields):
    """A resource that is written to, read from and deleted at one path, which its id tells."""

    id_form: ClassVar[str]  # the id, made of inputs: "auth/{backend}/role/{roleName}"
    path_form: ClassVar[str]  # the API's path, made of the same inputs

    def _named(self, resource_id: str) -> Plain:
        """The inputs that the id is made of."""
        found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", self.id_form), resource_id)
        if not found:
            form = self.id_form.replace("{", "<").replace("}", ">")
            raise PluginError(f"{resource_id!r} is no id of a {self.type_name}: give {form}")
        return found.groupdict()

    def _path(self, resource_id: str) -> str:
        return "/v1/" + self.path_form.format(**self._named(resource_id))

    def _encoded(self, body: Plain, new: Plain) -> Plain:
        """The body as the API takes it."""
        return body

    def _decoded(self, properties: Plain) -> Plain:
        """The properties as the published plugin keeps them."""
        return properties

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Writes it, over one of that name."""
        names = {name: value.strip("/") for name, value in new.items() if f"{{{name}}}" in self.id_form}
        resource_id = self.id_form.format(**names)
        return resource_id, await self.update(resource_id, {}, new, call)

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The server's fields; inputs that are no fields stay as they were."""
        found = await self._api.call("GET", self._path(resource_id))
        if found is None:
            return None
        kept = {name: old[name] for name in self.elsewhere if name in old}
        properties = self._decoded(self._properties(old, found["data"]))
        return resource_id, {**kept, **self._named(resource_id), **properties}

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Vault keeps fields that are not sent, so the body has what was taken away too."""
        body = self._encoded(self._body(old, new), new)
        await self._api.call("POST", self._path(resource_id), body=body)
        found = await self.read(resource_id, new)
        return found[1] if found else {}

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes it."""
        await self._api.call("DELETE", self._path(resource_id))
