"""The `validation` section: which manifests may be pushed."""

from typing import Annotated

from config.registry.section import NEEDS_3, Section
from config.registry.values import RegularExpression, Text, one_of


class Urls(Section):
    """Foreign layers' URLs; without both lists none is allowed."""

    allow: list[RegularExpression] | None = None
    deny: list[RegularExpression] | None = None


class Platform(Section):
    """A platform whose image must exist."""

    os: Text
    architecture: Text


class Indexes(Section):
    """Which images of a multi-platform index must exist when it is pushed."""

    platforms: Annotated[str, one_of("all", "none", "list", ignore_case=True)]
    platformlist: list[Platform] | None = None


class Manifests(Section):
    """Rules for image manifests and indexes."""

    urls: Urls | None = None
    indexes: Annotated[Indexes | None, NEEDS_3] = None


class Validation(Section):
    """Rules for pushed manifests; `enabled` is the deprecated opposite of `disabled`."""

    enabled: bool | None = None
    disabled: bool | None = None
    manifests: Manifests | None = None
