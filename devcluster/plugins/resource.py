"""One resource type: what the SDK accepts for it, and what its plugin does with it."""

import difflib
import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, ForwardRef

from pulumi.provider.experimental.provider import CheckFailure, PropertyDiffKind

from devcluster.plugins.values import UNKNOWN, Plain, differences


@dataclass(frozen=True)
class Input:
    """An input as the SDK's Args class declares it; `field` is the server's snake_case name."""

    name: str
    field: str
    kind: type
    required: bool


@dataclass(frozen=True)
class Call:
    """One operation: the resource's URN, its time limit in seconds (0: none given), a line for the log."""

    urn: str
    timeout: float
    log: Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Change:
    """A difference between state and program, at a property path."""

    path: str
    kind: PropertyDiffKind
    replaces: bool


class Resource(ABC):
    """A subclass names the SDK's Args class, says what is special in tables, and talks to its server."""

    type_name: ClassVar[str]
    args: ClassVar[type]  # the SDK's Args class: names, types and which inputs are required
    outputs: ClassVar[tuple[str, ...]] = ()  # what only the server knows: unknown at the preview of a create
    volatile: ClassVar[tuple[str, ...]] = ()  # those of them that an update changes
    computed: ClassVar[frozenset[str]] = frozenset()  # inputs that the server fills in when left out
    defaults: ClassVar[Mapping[str, Any]] = {}
    autonamed: ClassVar[bool] = False  # `name` gets one from the resource's name when unset
    replacing: ClassVar[frozenset[str]] = frozenset()
    unordered: ClassVar[frozenset[str]] = frozenset()  # lists that the server keeps as sets
    secret: ClassVar[frozenset[str]] = frozenset()  # outputs that are secret whatever the program says
    tainted: ClassVar[frozenset[str]] = frozenset()  # outputs that are secret if any input is
    absent: ClassVar[frozenset[str]] = frozenset()  # inputs that this stand-in does not implement
    zero_is_unset: ClassVar[bool] = True  # Terraform's rule; command is no Terraform provider

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """By the name that travels in the protocol."""
        parameters = inspect.signature(self.args).parameters
        return {
            name: Input(
                name, field, _kind(parameters[field]), parameters[field].default is inspect.Parameter.empty
            )
            for field, prop in vars(self.args).items()
            if isinstance(prop, property)
            for name in [getattr(prop.fget, "_pulumi_name", field)]
        }

    def check(self, new: Plain) -> Iterator[CheckFailure]:
        """What is wrong with the inputs, after defaults were filled in."""
        for name, value in new.items():
            known = self.inputs.get(name)
            if known is None:
                close = difflib.get_close_matches(name, self.inputs, 1)
                hint = (
                    f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(self.inputs))}"
                )
                yield CheckFailure(name, f"{self.type_name} has no input {name!r}: {hint}")
            elif name in self.absent:
                yield CheckFailure(name, f"the local stand-in of {self.type_name} does not implement it")
            elif value != UNKNOWN and not _is(value, known.kind):
                yield CheckFailure(name, f"expected {known.kind.__name__}, got {type(value).__name__}")
        for known in self.inputs.values():
            if known.required and known.name not in new:
                yield CheckFailure(known.name, f"missing required input {known.name!r}")

    async def comparable(self, key: str, value: Any, properties: Plain) -> Any:
        """The value as its server would compare it: None for what counts as unset."""
        if key in self.unordered and isinstance(value, list):
            value = sorted(value, key=str)
        return _without_blanks(value) if self.zero_is_unset else value

    async def changes(self, old: Plain, new: Plain) -> list[Change]:
        """How the program differs from the state."""
        found = []
        for key in self.inputs:
            if key in self.computed and key not in new:
                continue
            before, after = old.get(key), new.get(key)
            if UNKNOWN not in (before, after) and before != after:
                before = await self.comparable(key, before, old)
                after = await self.comparable(key, after, new)
            found += [
                Change(path, kind, key in self.replacing) for path, kind in differences(key, before, after)
            ]
        return found

    async def planned(self, new: Plain) -> Plain:
        """Outputs that are known before the server was asked to change anything."""
        return {}

    @abstractmethod
    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Creates it; returns its id and its outputs."""

    @abstractmethod
    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """What the server has, as id and properties; None if it is gone. `old` is empty on import."""

    @abstractmethod
    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Changes it in place; returns its outputs."""

    @abstractmethod
    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes it; something that is gone already is no error."""


def _kind(parameter: inspect.Parameter) -> type:
    """The plain type behind an annotation such as Union[str, Awaitable[str], Output[T], None]."""
    declared = typing.get_args(parameter.annotation)[0]
    if isinstance(declared, ForwardRef):  # a nested Args class, or else an enum of strings
        return dict if declared.__forward_arg__.endswith("Args") else str
    origin = typing.get_origin(declared) or declared
    if origin in (str, bool, int, float):
        return typing.cast("type", origin)
    return dict if issubclass(origin, Mapping) else list


def _is(value: Any, kind: type) -> bool:
    if kind in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _without_blanks(value: Any) -> Any:
    """Terraform cannot tell an attribute that is unset from one that is "", 0, false or empty."""
    if isinstance(value, Mapping):
        kept = {key: _without_blanks(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None} or None
    if isinstance(value, list):
        # A block that is there counts, even if all that is in it is blank.
        return [{} if item is None else item for item in map(_without_blanks, value)] or None
    return value or None
