"""The provider protocol for a table of resource types: conversion, defaults, names, diffs and secrets."""

import difflib
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from pulumi.provider.experimental import provider as protocol

from devcluster.plugins.errors import InitFailedError, PluginError
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.serve import Engine
from devcluster.plugins.values import UNKNOWN, Plain, has_unknown, plain, secret_keys, wrapped

_ENGINE_KEYS = {"version", "pluginDownloadURL", "parameterization"}  # put into every provider's inputs


class LocalProvider(protocol.Provider, ABC):
    """A subclass names the plugin, its settings and its resource types."""

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # setting: environment variables that stand in
    required: ClassVar[tuple[str, ...]] = ()
    bridged: ClassVar[bool] = True  # whether the published one is made of a Terraform provider

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._resources: dict[str, Resource] = {}

    @classmethod
    def version(cls) -> str:
        """The published plugin's version is its SDK's."""
        return version(f"pulumi-{cls.name}")

    @abstractmethod
    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """The resource types, ready to talk to the configured server."""

    def _settings(self, given: Plain) -> Plain:
        found = {
            key: os.environ[name]
            for key, names in self.settings.items()
            for name in names
            if name in os.environ
        }
        return {**found, **{key: value for key, value in given.items() if key not in _ENGINE_KEYS}}

    async def check_config(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        """Refuses a setting that this stand-in would ignore, and a missing one that it needs."""
        settings = self._settings(plain(request.new_inputs))
        failures = []
        for key in settings:
            if key not in self.settings:
                near = difflib.get_close_matches(key, self.settings, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(self.settings)}"
                failures.append(
                    protocol.CheckFailure(key, f"the local {self.name} plugin has no such setting{hint}")
                )
        for key in self.required:
            if not settings.get(key):
                variables = " or ".join(self.settings[key])
                reason = (
                    f"{self.name}:{key} is not set: `pulumi config set {self.name}:{key} …`, or {variables}"
                )
                failures.append(protocol.CheckFailure(key, reason))
        return protocol.CheckResponse(inputs=request.new_inputs, failures=failures)

    async def configure(self, request: protocol.ConfigureRequest) -> protocol.ConfigureResponse:
        """Connects the resource types; an address that is still unknown at preview is left for `up`."""
        settings = self._settings(plain(request.args))
        known = {key: value for key, value in settings.items() if value != UNKNOWN}
        self._resources = {resource.type_name: resource for resource in self.resources(known)}
        return protocol.ConfigureResponse(accept_secrets=True, supports_preview=True)

    def _resource(self, token: str) -> Resource:
        token = token.rsplit("$", 1)[-1]  # a URN names the parents' types first
        if token not in self._resources:
            known = ", ".join(sorted(self._resources))
            raise PluginError(
                f"the local {self.name} plugin has no {token}, only {known}: use the published one, "
                f"`pulumi plugin install resource {self.name} {self.version()} --reinstall`"
            )
        return self._resources[token]

    def _call(self, urn: str, timeout: float = 0.0) -> Call:
        async def log(line: str) -> None:
            await self._engine.log(urn, line)

        return Call(urn, timeout, log)

    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        """Fills in defaults and an automatic name, then reports every wrong input."""
        resource = self._resource(request.type)
        new, secrets = plain(request.new_inputs), secret_keys(request.new_inputs)
        filled = {key: value for key, value in resource.defaults.items() if key not in new}
        if resource.autonamed and "name" not in new:
            seed = request.random_seed or request.urn.encode()
            suffix = hashlib.sha256(seed).hexdigest()[:7]
            filled["name"] = plain(request.old_inputs).get("name", f"{request.name}-{suffix}")
        failures = list(resource.check({**new, **filled}))
        kept = {key: value for key, value in request.new_inputs.items() if key in new}
        return protocol.CheckResponse(inputs={**kept, **wrapped(filled, secrets)}, failures=failures)

    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        """Compares the program's inputs with the state as last read."""
        resource = self._resource(request.type)
        old, new = plain(request.old_state), plain(request.new_inputs)
        changes = await resource.changes(old, new)
        replaces = sorted({change.path for change in changes if change.replaces})
        kinds = protocol.PropertyDiffKind
        return protocol.DiffResponse(
            changes=bool(changes),
            replaces=replaces,
            diffs=sorted({change.path.split(".")[0].split("[")[0] for change in changes}),
            # Two things of one name cannot exist at once, so the old one goes first.
            delete_before_replace=bool(replaces)
            and resource.autonamed
            and old.get("name") == new.get("name"),
            detailed_diff={
                change.path: protocol.PropertyDiff(
                    kinds(change.kind.value + 1) if change.replaces else change.kind, input_diff=False
                )
                for change in changes
            },
        )

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        """Creates it, or says at preview what would be known."""
        resource = self._resource(request.type)
        new, secrets = plain(request.properties), self._secrets(resource, request.properties)
        if request.preview:
            return protocol.CreateResponse("", wrapped(await self._preview(resource, {}, new), secrets))
        try:
            resource_id, outputs = await resource.create(new, self._call(request.urn, request.timeout))
        except InitFailedError as error:
            raise _marked(error, new, secrets) from error
        return protocol.CreateResponse(resource_id, wrapped({**new, **outputs}, secrets))

    async def update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        """Changes it in place, or says at preview what would be known."""
        resource = self._resource(request.type)
        old, new = plain(request.olds), plain(request.news)
        secrets = self._secrets(resource, request.news)
        if request.preview:
            return protocol.UpdateResponse(wrapped(await self._preview(resource, old, new), secrets))
        call = self._call(request.urn, request.timeout)
        try:
            outputs = await resource.update(request.resource_id, old, new, call)
        except InitFailedError as error:
            raise _marked(error, new, secrets) from error
        return protocol.UpdateResponse(wrapped({**new, **outputs}, secrets))

    @staticmethod
    async def _preview(resource: Resource, old: Plain, new: Plain) -> Plain:
        planned = {} if has_unknown(new) else await resource.planned(new)
        kept = {
            key: value for key, value in old.items() if key not in resource.inputs or key in resource.computed
        }
        unknown = dict.fromkeys(resource.volatile if old else resource.outputs, UNKNOWN)
        return {**kept, **unknown, **new, **planned}

    @staticmethod
    def _secrets(resource: Resource, properties: Mapping[str, Any]) -> set[str]:
        marked = secret_keys(properties)
        return {*marked, *resource.secret, *(resource.tainted if marked else ())}

    async def read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        """The server's present view; an empty answer tells the engine that the resource is gone."""
        resource = self._resource(request.type)
        old = plain(request.properties)
        found = await resource.read(request.resource_id, old)
        if found is None:
            return protocol.ReadResponse("")
        resource_id, outputs = found
        for key in old.keys() & outputs.keys() & resource.inputs.keys():
            # Written differently, but the same to the server: keep the user's way of writing it.
            if await resource.comparable(key, old[key], old) == await resource.comparable(
                key, outputs[key], outputs
            ):
                outputs[key] = old[key]
        secrets = {*secret_keys(request.properties), *secret_keys(request.inputs), *resource.secret}
        inputs = {
            key: value
            for key, value in outputs.items()
            if key in resource.inputs
            and (
                key in request.inputs
                or (key not in resource.computed and value not in (None, "", False, 0, [], {}))
            )
        }
        return protocol.ReadResponse(resource_id, wrapped(outputs, secrets), wrapped(inputs, secrets))

    async def delete(self, request: protocol.DeleteRequest) -> None:
        """Deletes it."""
        resource = self._resource(request.type)
        await resource.delete(request.resource_id, plain(request.properties), self._call(request.urn))

    async def cancel(self) -> None:
        """Ends what is under way, so that Ctrl-C does not wait for a deployment."""
        self._engine.cancel()


def _marked(error: InitFailedError, new: Plain, secrets: set[str]) -> InitFailedError:
    """The same error with its outputs complete and the secret ones marked."""
    return InitFailedError(error.resource_id, wrapped({**new, **error.outputs}, secrets), str(error))
