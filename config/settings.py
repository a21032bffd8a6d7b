"""One stack's settings: every section of the stack file, typed, complete and checked."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, RootModel, ValidationError

from config import registry as registry_model
from config.cache_place import cache_place_problems
from config.contradictions import NAMESPACE, contradictions
from config.encrypted import shown, unmarked
from config.host_paths import host_path_problems
from config.job_tls import job_tls_problems
from config.mirror_contradictions import mirror_contradictions
from config.names import Names
from config.own_config import own_config_problems
from config.problems import Problem, SettingsError, from_pydantic, suggestion
from config.providers import Providers
from config.registry_config import major_version, merged_config
from config.sections.access import Access
from config.sections.auth import Auth
from config.sections.maintenance import Maintenance
from config.sections.mirrors import Mirror, Mirrors
from config.sections.monitoring import Monitoring
from config.sections.registry import DEFAULT_NAME, Registry
from config.sections.storage import Storage
from config.sections.tls import Tls
from config.sections.vault import Vault
from config.shared_storage import shared_storage_problems

SECTIONS: dict[str, type[BaseModel]] = {
    "registry": Registry,
    "storage": Storage,
    "vault": Vault,
    "tls": Tls,
    "auth": Auth,
    "access": Access,
    "maintenance": Maintenance,
    "mirrors": Mirrors,
    "monitoring": Monitoring,
}
# To write one of these, if only as {}, turns something on: Pulumi.yaml has no default for it.
OPTIONAL_SECTIONS = frozenset({"monitoring"})
# Values of these keys never appear in a report.
_SECRET_KEYS = frozenset(
    {"users", "privateKey", "clientSecret", "accessKey", "secretKey", "password", "username"}
)


class Settings(Names):
    """One stack, complete and checked."""

    stack: str
    providers: Providers
    storage: Storage
    vault: Vault
    auth: Auth
    access: Access
    maintenance: Maintenance
    mirrors: Mirrors
    monitoring: Monitoring | None = None

    @classmethod
    def read(cls, stack: str, config: Mapping[str, str], env: Mapping[str, str]) -> Self:
        """Read a stack's configuration as the engine hands it over: full keys, values as text.

        What is encrypted in the stack file has its mark, `{secure: …}`, around the decrypted text.
        Raises SettingsError with every problem there is.
        """
        plain, problems = _without_marks(config)
        if problems:  # any other might repeat what is encrypted
            raise SettingsError(f"Pulumi.{stack}.yaml", problems)
        providers, problems = Providers.read(config, env)
        for full_key in config:
            namespace, _, key = full_key.partition(":")
            if namespace == NAMESPACE and key not in SECTIONS:
                problems.append(Problem(full_key, _unknown(full_key, key)))
        sections: dict[str, BaseModel] = {}
        written: dict[str, Any] = {}
        for key, model in SECTIONS.items():
            if key in OPTIONAL_SECTIONS and f"{NAMESPACE}:{key}" not in config:
                continue
            empty: dict[str, Any] | list[Any] = [] if issubclass(model, RootModel) else {}
            section, value = f"{NAMESPACE}:{key}", plain.get(key, empty)
            try:
                sections[key] = _validated(model, value)
            except ValidationError as error:
                problems += from_pydantic(error, section, model.model_json_schema(), secrets=_SECRET_KEYS)
            written[key] = value if isinstance(value, type(empty)) else empty
        problems += [
            *contradictions(written),
            *mirror_contradictions(written),
            *shared_storage_problems(written),
            *own_config_problems(written),
            *host_path_problems(written),
            *(job_tls_problems(providers, written) if providers else ()),
        ]
        if problems or providers is None:
            raise SettingsError(f"Pulumi.{stack}.yaml", problems)
        settings = cls.model_validate({"stack": stack, "providers": providers, **sections})
        if problems := list(cache_place_problems(settings)):
            raise SettingsError(f"Pulumi.{stack}.yaml", problems)
        return settings

    @property
    def registry_version(self) -> registry_model.RegistryVersion:
        """The registry's major version; `read` made sure that there is one."""
        version = major_version(self.registry.image, self.registry.version)
        assert version is not None  # noqa: S101 - for the type checker
        return version

    @property
    def volume(self) -> str:
        """Name of the Nomad volume."""
        return self.storage.volume or self._volume_name("data")

    @property
    def backup_volume(self) -> str | None:
        """Name of the Nomad volume for the backups; None without backups, and if they go to a bucket."""
        backup = self.maintenance.backup
        return None if backup is None or backup.s3 else backup.volume or self._volume_name("backup")

    def _volume_name(self, kind: str) -> str:
        """Name a volume after the stack; the default stack keeps the names that documents use."""
        stack = "registry" if self.registry.name == DEFAULT_NAME else self.registry.name.replace("-", "_")
        return f"{stack}_{kind}"

    @property
    def volume_path(self) -> PurePosixPath:
        """Directory on the host: `storage.path`, else root, class and volume joined."""
        return self.storage.path or self._below_root(self.volume)

    @property
    def cache_volume(self) -> str:
        """Name of the Nomad volume with what the mirrors cache."""
        return self.storage.cache_volume or self._volume_name("cache")

    @property
    def cache_path(self) -> PurePosixPath:
        """Directory of that volume on the host: `storage.cachePath`, else root, class and volume joined."""
        return self.storage.cache_path or self._below_root(self.cache_volume)

    def _below_root(self, volume: str) -> PurePosixPath:
        storage = self.storage
        return storage.root / ("" if storage.class_ == "none" else storage.class_) / volume

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Every host name that a certificate of tls.mode registry is for."""
        return (self.registry.hostname, *(self.mirror_hostname(mirror) for mirror in self.mirrors.root))

    @property
    def limited_mirrors(self) -> tuple[Mirror, ...]:
        """The mirrors whose caches have a greatest size."""
        return tuple(mirror for mirror in self.mirrors.root if mirror.max_size)

    @property
    def mirrors_know_clients(self) -> bool:
        """Whether a mirror reads in Vault who its clients are."""
        by_vault = self.auth.mode in ("htpasswd", "vault")
        return by_vault and any(mirror.auth == "same" for mirror in self.mirrors.root)

    @property
    def mirrors_use_vault(self) -> bool:
        """Whether a mirror reads anything in Vault."""
        if any(mirror.password for mirror in self.mirrors.root) or self.mirrors_know_clients:
            return True
        return bool(self.mirrors.root) and self.tls.mode == "registry"

    @property
    def registry_config(self) -> dict[str, Any]:
        """The registry's config.yml as data: our defaults with `registry.config` merged over them."""
        return merged_config(
            self.registry.config,
            self.registry_version,
            s3=self.storage.s3,
            redis=self.registry.redis,
        )

    @property
    def on_volume(self) -> bool:
        """Whether the images are on the host volume, and not in some bucket."""
        return "filesystem" in self.registry_config["storage"]

    @property
    def mounted_volume(self) -> str | None:
        """Name of the Nomad volume that the registry's job mounts; None with a bucket."""
        return self.volume if self.on_volume else None

    @property
    def config_secrets(self) -> dict[str, str]:
        """Secrets that the stack put into `registry.config`, by their place, as `storage.s3.secretkey`."""
        config = self.registry_config
        return {
            registry_model.secret_key(path): str(registry_model.value_at(config, path))
            for path in registry_model.secret_paths(config)
        }

    @property
    def secret_paths(self) -> dict[str, str]:
        """Where the registry's secrets are (KV v2 API paths), by key."""
        has = {
            "http": True,
            "users": self.auth.mode == "htpasswd",
            "config": bool(self.config_secrets),
            "jwks": self.auth.mode == "vault",
        }
        return {key: f"{self.vault.mount}/data/{self.registry.name}/{key}" for key in has if has[key]}

    @property
    def volume_stanza(self) -> str:
        """What a Nomad client's configuration needs to offer the volume (static kind)."""
        return _stanza(self.volume, self.volume_path)

    @property
    def cache_stanza(self) -> str:
        """The same for the volume with what the mirrors cache."""
        return _stanza(self.cache_volume, self.cache_path)

    @property
    def nomad_jwks_url(self) -> str:
        """Where Vault finds the keys that Nomad signs workload identities with."""
        return self.vault.workload.jwks_url or f"{self.providers.nomad.address}/.well-known/jwks.json"

    @property
    def token_issuer(self) -> str:
        """Issuer in the tokens that Vault signs (Vault API: Identity Tokens, `issuer`)."""
        return f"{self.auth.issuer or self.providers.vault.address}/v1/identity/oidc"


def _unknown(full_key: str, key: str) -> str:
    """Say what an unknown key was to be: without --path, `pulumi config set` takes a path for a name."""
    if re.split(r"[.\[]", key)[0] not in SECTIONS:
        return f"unknown key; {suggestion(key, SECTIONS)}"
    quoted = shlex.quote(full_key)
    return (
        f"is a path, which needs --path: `pulumi config rm {quoted}`, then "
        f"`pulumi config set --path {quoted} VALUE`"
    )


def _stanza(volume: str, path: PurePosixPath) -> str:
    return (
        f'client {{\n  host_volume "{volume}" {{\n    path      = "{path}"\n    read_only = false\n  }}\n}}\n'
    )


def _without_marks(config: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """Read each section without the marks of what is encrypted; what is no JSON stays text."""
    plain, problems = dict[str, Any](), list[Problem]()
    for key, model in SECTIONS.items():
        section = f"{NAMESPACE}:{key}"
        if not config.get(section):
            continue
        try:
            written = json.loads(config[section])
        except ValueError:
            plain[key] = config[section]
            continue
        plain[key], places = unmarked(written)
        if places:
            problems += shown(section, model.model_json_schema(), written, places)
    return plain, problems


def _validated(model: type[BaseModel], value: Any) -> BaseModel:
    section = model.model_validate_json(json.dumps(value), by_alias=True)
    if isinstance(section, Registry) and section.config:
        # As it was read: JSON does not tell what is encrypted in it.
        return section.model_copy(update={"config": value["config"]})
    return section


def stack_schema() -> dict[str, Any]:
    """Return the JSON Schema of a stack file, for editors (`python -m ops schema`)."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for key, model in SECTIONS.items():
        schema = model.model_json_schema(ref_template="#/definitions/{model}")
        definitions |= schema.pop("$defs", {})
        properties[f"{NAMESPACE}:{key}"] = schema
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A stack of docker-registry",
        "type": "object",
        "properties": {"config": {"type": "object", "properties": properties}},
        "definitions": json.loads(json.dumps(definitions)),
    }
