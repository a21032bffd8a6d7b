"""What a client needs to know of a stack: read from its file alone, without passphrase, state or secrets."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from config.contradictions import NAMESPACE
from config.names import Names
from config.problems import Problem, SettingsError, from_pydantic
from config.providers import VAULT, Endpoint, endpoint
from config.sections.mirrors import Mirror, Mirrors
from config.sections.registry import Registry
from config.sections.tls import Tls
from ops.stack import Stack

Model = TypeVar("Model", bound=BaseModel)

# What of section `registry` names and addresses are made of; the rest is for who deploys.
_REGISTRY_KEYS = ("name", "hostname", "port", "count", "scaling")
# The same of a mirror; its user and password are for its upstream.
_MIRROR_KEYS = ("name", "upstream", "hostname", "port", "auth")


class _Lenient(BaseModel):
    """A part of section `auth`: its other keys may be secrets, which stay encrypted here."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, hide_input_in_errors=True)


class _Oidc(_Lenient):
    groups: dict[str, tuple[str, ...]] = {}


class _Auth(_Lenient):
    mode: str = "htpasswd"
    grants: dict[str, Any] = {}
    oidc: _Oidc | None = None


@dataclass(frozen=True, kw_only=True)
class Client:
    """Names, addresses and grants of a stack."""

    stack: str
    names: Names
    auth_mode: str
    grants: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]  # of the OIDC provider, each with its grants
    has_oidc: bool
    vault: Endpoint
    mirrors: tuple[Mirror, ...] = ()

    @classmethod
    def read(cls, stack: Stack) -> "Client":
        """Read the stack's file. Raises SettingsError with every problem in the parts that count here."""
        config, problems = stack.file_config(), list[Problem]()
        written = _section(config, "registry", problems)
        picked = {key: written[key] for key in _REGISTRY_KEYS if key in written}
        registry = _validate(Registry, "registry", picked, problems)
        tls = _validate(Tls, "tls", _section(config, "tls", problems), problems)
        auth = _validate(_Auth, "auth", _section(config, "auth", problems), problems)
        mirrors = _validate(Mirrors, "mirrors", _mirrors(config, problems), problems)
        # Everything but the token, which is the deployer's: a person's own is in the environment.
        shared = {key: text for key, text in config.items() if isinstance(text, str) and key != "vault:token"}
        vault = endpoint(VAULT, shared, os.environ, problems)
        if problems or not (registry and tls and auth and mirrors is not None and vault):
            raise SettingsError(f"Pulumi.{stack.name}.yaml", problems)
        return cls(
            stack=stack.name,
            names=Names(registry=registry, tls=tls),
            auth_mode=auth.mode,
            grants=tuple(sorted(auth.grants)),
            groups=auth.oidc.groups if auth.oidc else {},
            has_oidc=auth.oidc is not None,
            vault=vault,
            mirrors=mirrors.root,
        )


def _section(config: Mapping[str, Any], key: str, problems: list[Problem]) -> dict[str, Any]:
    full_key = f"{NAMESPACE}:{key}"
    mapping = _written(config, full_key, problems) or {}
    if not isinstance(mapping, dict):
        problems.append(Problem(full_key, "is not a mapping of keys to values"))
        return {}
    if set(mapping) == {"secure"}:
        message = "is encrypted as a whole, and clients have no passphrase; encrypt only the secrets in it"
        problems.append(Problem(full_key, message))
        return {}
    return mapping


def _written(config: Mapping[str, Any], full_key: str, problems: list[Problem]) -> Any:
    """Read a section; `pulumi config set` keeps JSON as text."""
    value = config.get(full_key)
    try:
        return json.loads(value) if isinstance(value, str) and value else value
    except ValueError:
        problems.append(Problem(full_key, "is no JSON"))
        return None


def _mirrors(config: Mapping[str, Any], problems: list[Problem]) -> list[Any]:
    """Read the mirrors without what is encrypted; a whole list that is encrypted counts as none."""
    written = _written(config, f"{NAMESPACE}:mirrors", problems)
    return [
        {key: each[key] for key in _MIRROR_KEYS if key in each} if isinstance(each, dict) else each
        for each in (written if isinstance(written, list) else ())
    ]


def _validate(model: type[Model], key: str, written: object, problems: list[Problem]) -> Model | None:
    try:
        return model.model_validate_json(json.dumps(written), by_alias=True)
    except ValidationError as error:
        problems += from_pydantic(error, f"{NAMESPACE}:{key}", model.model_json_schema())
        return None
