"""What every section of config.yml has in common: no unknown keys, no empty ones, strict types.

A key that one major version alone reads carries an `Only`; the version under check is the context.
"""

from dataclasses import dataclass
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from config.registry.version import RegistryVersion


@dataclass(frozen=True)
class Only:
    """Marks a key that one version reads and the other ignores or dies on."""

    version: RegistryVersion
    advice: str


NEEDS_3 = Only(RegistryVersion.V3, "needs distribution 3.x: remove it, or choose an image of 3.x")


def removed(advice: str) -> Only:
    """Marks a key that 2.x reads and 3.0 dropped; `advice` says what to do instead."""
    return Only(RegistryVersion.V2, f"removed in 3.0: {advice}")


def refuse(advice: str) -> NoReturn:
    """Refuse the value under validation with a message that says what is accepted."""
    raise PydanticCustomError("refused", "{advice}", {"advice": advice})


class Section(BaseModel):
    """A mapping of config.yml, strict: the registry's own reader takes "yes" or 5 for something else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_read_by_this_version(cls, value: object, info: ValidationInfo) -> object:
        for mark in cls.model_fields[str(info.field_name)].metadata:
            if isinstance(mark, Only) and mark.version is not info.context:
                refuse(mark.advice)
        if value is None:
            refuse("is empty: give a value (`{}` for a section without settings) or leave the key out")
        return value


class Switch(Section):
    """A feature that is off until `enabled` says otherwise."""

    enabled: bool
