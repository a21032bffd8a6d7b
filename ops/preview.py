"""What `pulumi preview` knows of each resource: as deployed, as the servers have it, and as it is to be."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from checks.deployed_servers import require_deployed_servers
from checks.preflight import require_servers
from checks.servers import Servers
from config.providers import Endpoint, deployed_endpoint
from config.settings import Settings
from ops.stack import Deployed, Stack

_JOB = "nomad:index/job:Job"
_PROVIDER = "pulumi:providers:"
# In what order the engine tells of a replacement; the first says it all.
_REPLACEMENT = ("replace", "create-replacement", "delete-replaced")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a provider's. Values may be secrets: only their keys are to be shown."""

    name: str
    urn: str
    type: str  # as nomad:Job
    operation: str  # same, create, update, replace or delete: what `pulumi up` would do
    changed: tuple[str, ...]  # inputs for the sake of which it would
    deployed: Mapping[str, Any] | None  # what the last `up` left, by key; None if it never did
    live: Mapping[str, Any] | None  # what the provider finds at the server; None if it is not there
    wanted: Mapping[str, Any] | None  # inputs that the settings make; None if it is to go

    @property
    def label(self) -> str:
        """Type and name."""
        return f"{self.type} {self.name}"

    @property
    def drifted(self) -> tuple[str, ...]:
        """Keys whose values somebody changed since the last `up`, as far as the provider can see."""
        if self.deployed is None or self.live is None:
            return ()
        live = self.live
        return tuple(sorted(key for key, value in self.deployed.items() if live.get(key) != value))

    @property
    def is_gone(self) -> bool:
        """Whether somebody removed it at the server."""
        return self.deployed is not None and self.live is None

    @property
    def wanted_job(self) -> str | None:
        """The jobspec that the settings make, if it is a Nomad job."""
        return _jobspec(self.type, self.wanted)

    @property
    def deployed_job(self) -> str | None:
        """The jobspec that was last deployed, if it is a Nomad job."""
        return _jobspec(self.type, self.deployed)


def preview(stack: Stack, settings: Settings, deployed: list[Deployed]) -> list[Resource]:
    """Ask the engine, which changes nothing; takes seconds. `deployed` is the stack's state.

    The servers are asked first: of one that is down, or has moved, the engine tells late and in a provider's
    words. Raises CheckError, or StackError with the engine's errors.
    """
    with Servers(settings.providers) as servers:
        require_servers(settings, servers)
    require_deployed_servers(stack.name, settings.providers, endpoints(deployed, os.environ))
    return list(resources(stack.preview()["steps"]))


def endpoints(deployed: list[Deployed], env: Mapping[str, str]) -> list[Endpoint]:
    """Find where the last `up` found Nomad, Consul and Vault, with their tokens."""
    providers = (each for each in deployed if each.type.startswith(_PROVIDER))
    found = (deployed_endpoint(each.type.removeprefix(_PROVIDER), each.inputs, env) for each in providers)
    return [each for each in found if each]


def resources(steps: list[Mapping[str, Any]]) -> Iterator[Resource]:
    """Put the engine's steps together, one resource each, in their order.

    With `options.refresh: always` each resource has a step `refresh`, whose old state is what the last `up`
    left, and one of what is to be done, whose old state is what the provider then found.
    """
    recorded: dict[str, Mapping[str, Any]] = {}
    planned: dict[str, Mapping[str, Any]] = {}
    for step in steps:
        if step["op"] == "refresh":
            recorded[step["urn"]] = step["oldState"]
        elif step["urn"] not in planned or step["op"] == _REPLACEMENT[0]:
            planned[step["urn"]] = step
    for urn, step in planned.items():
        old, new = step.get("oldState"), step.get("newState")
        state = new or old or {}
        if not state.get("custom") or state["type"].startswith("pulumi:"):
            continue
        operation = "replace" if step["op"] in _REPLACEMENT else step["op"]
        deployed = recorded.get(urn)
        keys = (deployed or {}).get("inputs", {}).keys()
        yield Resource(
            name=urn.rsplit("::", 1)[1],
            urn=urn,
            type=_short(state["type"]),
            operation=operation,
            changed=_inputs_among(step.get("diffReasons") or (), old, new),
            deployed=_values(deployed, keys),
            live=_values(old, keys),
            wanted=(new or {}).get("inputs", {}) if operation != "delete" else None,
        )


def _inputs_among(
    reasons: Iterable[str], old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Leave out what only the server computes: beside `jobspec` the Nomad provider names `modifyIndex`."""
    inputs = {key for state in (old, new) if state for key in state.get("inputs", {})}
    return tuple(sorted(inputs & set(reasons)))


def _values(state: Mapping[str, Any] | None, keys: Any) -> Mapping[str, Any] | None:
    """Take what the server said of the inputs, and of inputs that it says nothing of, what it was told."""
    if state is None:
        return None
    told = {**state.get("inputs", {}), **state.get("outputs", {})}
    return {key: told.get(key) for key in keys if not key.startswith("__")}


def _short(token: str) -> str:
    """Shorten nomad:index/job:Job to nomad:Job."""
    package, _, name = token.split(":")
    return f"{package}:{name}"


def _jobspec(kind: str, values: Mapping[str, Any] | None) -> str | None:
    if kind != _short(_JOB) or values is None:
        return None
    text: str = values["jobspec"]
    return text
