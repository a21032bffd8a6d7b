"""What a stack file says, typed: a model for each section (`docker-registry:registry` and its siblings).

Durations are Go's (`20s`), memory is MiB, cpu is MHz as Nomad counts them.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from config import registry as registry_model
from config.problems import Problem, SettingsError, from_pydantic, key_of, suggestion
from config.providers import Providers

NAMESPACE = "docker-registry"
DEFAULT_NAME = "docker-registry"

# RFC 1123: letters, digits and inner hyphens, 63 characters a label, 253 in all.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# The three prefixes that Go's bcrypt reads; cost, then 22 characters of salt and 31 of hash.
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


def _hostname(value: str) -> str:
    if len(value) > 253 or not _HOSTNAME.fullmatch(value) or value.rsplit(".", 1)[-1].isdigit():
        raise ValueError("{value} is no host name; write it like registry.homelab.local")
    return value


def _absolute_path(value: PurePosixPath) -> PurePosixPath:
    if not value.is_absolute() or ".." in value.parts:
        raise ValueError("{value} is no absolute path; write it like /volume1/nomad/volumes")
    return value


def _username(value: str) -> str:
    if not re.fullmatch(r"[^\s:]{1,128}", value):
        raise ValueError("a user name has no colon and no white space")
    return value


def _bcrypt_hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("is no bcrypt hash; set the password with `python -m ops users set NAME`")
    return value


def _host_key(value: str) -> str:
    if not re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?", value):
        raise ValueError("{value} is no SSH host key; `ssh-keyscan HOST` prints it, without the host name")
    return value


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


def secret_schema(inner: dict[str, Any]) -> WithJsonSchema:
    """In the stack file a secret is `{secure: …}`; the program is given it decrypted."""
    secure = {
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
        "description": "Encrypted by `pulumi config set --secret`",
    }
    return WithJsonSchema({"anyOf": [inner, secure]})


Hostname = Annotated[str, AfterValidator(_hostname)]
AbsolutePath = Annotated[
    PurePosixPath, AfterValidator(_absolute_path), WithJsonSchema({"type": "string", "pattern": "^/"})
]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Username = Annotated[str, AfterValidator(_username)]
BcryptHash = Annotated[
    str,
    AfterValidator(_bcrypt_hash),
    secret_schema({"type": "string", "pattern": "^" + _BCRYPT.pattern + "$"}),
]
SecretText = Annotated[str, secret_schema({"type": "string"})]


class Section(BaseModel):
    """A mapping of the stack file: keys in camelCase, unknown ones refused, never changed once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True, strict=True
    )


class Homepage(Section):
    """How the registry shows on a Homepage dashboard; written as Consul tags and as Docker labels."""

    enabled: bool = Field(True, description="Write the Homepage tags and labels.")
    name: str = Field("Docker Registry", description="Title of the tile.")
    icon: str = Field("registry.png", description="Icon of the tile.")
    group: str = Field("DevOps", description="Group that the tile is in.")
    description: str = Field("Private Docker image repository", description="Text under the title.")


class Registry(Section):
    """The registry itself: its name, image, ports and resources, and its own configuration."""

    name: Name = Field(
        DEFAULT_NAME,
        description="Nomad job; other stacks on the cluster take their service, router, policy, "
        "Vault path and volume names from it.",
    )
    hostname: Hostname = Field("registry.homelab.local", description="Host name that clients use.")
    image: str = Field(
        "registry:3",
        min_length=1,
        pattern=r"^[^\s:@][^\s]*$",
        description="Docker image; its tag tells the registry's major version.",
    )
    version: Literal[2, 3] | None = Field(
        None, description="Major version of the registry, for an image whose tag does not tell."
    )
    port: Port = Field(5000, description="Host port of the registry.")
    debug_port: Port = Field(5001, description="Host port of metrics and debugging; Traefik never routes it.")
    cpu: int = Field(500, ge=1, description="CPU share in MHz.")
    memory: int = Field(512, ge=32, description="Memory limit in MiB.")
    datacenters: tuple[str, ...] = Field(
        ("dc1",), min_length=1, description="Nomad datacenters that the job may run in."
    )
    namespace: str = Field("default", pattern=r"^[a-zA-Z0-9-]{1,128}$", description="Nomad namespace.")
    consul_protocol: Literal["tcp", "http", "http2", "grpc"] = Field(
        "tcp",
        description="Protocol of Consul's service-defaults. With http a mesh ends every request after 15 s, "
        "which breaks pushes of big layers.",
    )
    homepage: Homepage = Field(Homepage(), description="Tile on a Homepage dashboard.")
    config: Annotated[dict[str, Any], BeforeValidator(_none_is_empty)] = Field(
        {}, description="Merged over our defaults of the registry's own config.yml; null removes a key."
    )

    @property
    def service(self) -> str:
        """Consul service and Traefik router; the default stack keeps the name that documents use."""
        return "registry" if self.name == DEFAULT_NAME else self.name


class Owner(Section):
    """Who owns the directory with the images; the container runs as the same user."""

    uid: int = Field(1000, ge=0, le=2**31 - 1, description="User id.")
    gid: int = Field(1000, ge=0, le=2**31 - 1, description="Group id.")
    mode: str = Field("0750", pattern=r"^0[0-7]{3}$", description="Mode of the directory, in octal.")


class Host(Section):
    """The machine with the disks, reached by SSH when `pulumi` runs elsewhere."""

    address: Hostname | ipaddress.IPv4Address | ipaddress.IPv6Address = Field(
        description="Host name or address for SSH."
    )
    port: Port = Field(22, description="SSH port.")
    user: str = Field("root", description="User that may create and own the directory.")
    host_key: Annotated[str, AfterValidator(_host_key)] = Field(
        description="The host's public key as `ssh-keyscan` prints it; another key is refused."
    )
    private_key: SecretText | None = Field(
        None, description="Private key (a secret); without it the SSH agent is asked."
    )


class Storage(Section):
    """The directory that keeps the images, and the Nomad volume that offers it."""

    volume: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")] | None = Field(
        None, description="Name of the Nomad volume; registry_data by default."
    )
    kind: Literal["static", "dynamic"] = Field(
        "static",
        description="static: the Nomad client's configuration offers the volume. "
        "dynamic: registered through Nomad's API (1.10 and newer).",
    )
    root: AbsolutePath = Field(
        PurePosixPath("/volume1/nomad/volumes"), description="Directory of all volumes on the host."
    )
    class_: Literal["high_capacity", "none"] = Field(
        "none", alias="class", description="Storage class: a directory between `root` and the volume."
    )
    path: AbsolutePath | None = Field(
        None, description="Directory of the volume, instead of the one that root, class and volume make."
    )
    owner: Owner = Field(Owner(), description="Owner and mode of the directory.")
    host: Host | None = Field(
        None, description="The machine with the disks, if `pulumi` does not run on it itself."
    )
    node_id: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Nomad node with the directory; for kind dynamic.",
    )


class Workload(Section):
    """How the job logs in to Vault with its workload identity (Nomad 1.7 and newer)."""

    backend: str = Field(
        "jwt-nomad", pattern=r"^[\w-]+(/[\w-]+)*$", description="Path of the JWT auth backend."
    )
    create_backend: bool = Field(
        False, description="Create the backend; by default the one of `nomad setup vault` is used."
    )
    jwks_url: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="Nomad's keys, for createBackend; by default its address with /.well-known/jwks.json.",
    )
    audience: str = Field("vault.io", min_length=1, description="Audience in the job's token.")


class Vault(Section):
    """Where Vault keeps the registry's secrets, and how the job reaches them."""

    mount: str = Field("secret", pattern=r"^[\w-]+(/[\w-]+)*$", description="Mount of a KV version 2 engine.")
    identity: Literal["workload", "policies"] = Field(
        "workload",
        description="workload: the job logs in by its identity (Nomad 1.7 and newer). "
        "policies: Nomad's servers hold a token (Nomad up to 1.9).",
    )
    workload: Workload = Field(Workload(), description="Details of identity workload.")


class Tls(Section):
    """Who speaks TLS to clients."""

    mode: Literal["traefik"] = Field("traefik", description="traefik: Traefik ends TLS for the host name.")
    entry_point: str = Field(
        "websecure", pattern=r"^[A-Za-z0-9_-]+$", description="Traefik's TLS entry point."
    )
    port: Port = Field(443, description="Port of that entry point.")
    cert_resolver: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Traefik's certificate resolver, if it is to fetch one.",
    )


class Auth(Section):
    """Who may push and pull."""

    mode: Literal["htpasswd"] = Field("htpasswd", description="htpasswd: users with passwords.")
    users: dict[Username, BcryptHash] = Field(
        {}, description="User names with bcrypt hashes (secrets); set by `python -m ops users set`."
    )


SECTIONS: dict[str, type[Section]] = {
    "registry": Registry,
    "storage": Storage,
    "vault": Vault,
    "tls": Tls,
    "auth": Auth,
}
# Values of these keys never appear in a report.
_SECRET_KEYS = frozenset({"users", "privateKey"})

# Keys of config.yml that other settings own, so that two places never disagree.
_OWNED = {
    ("http", "addr"): "the container always listens on 5000; set registry.port for the host's port",
    (
        "http",
        "debug",
    ): "metrics are always on, at 5001 in the container; set registry.debugPort for the host's port",
    ("http", "secret"): "made by the program and kept in Vault",
    ("http", "tls"): "set by tls.mode",
    ("auth",): "set by auth.mode and auth.users",
    (
        "storage",
        "filesystem",
        "rootdirectory",
    ): "the volume is mounted at /var/lib/registry; set storage.path",
}


class Settings(Section):
    """One stack, complete and checked."""

    stack: str
    providers: Providers
    registry: Registry
    storage: Storage
    vault: Vault
    tls: Tls
    auth: Auth

    @classmethod
    def read(cls, stack: str, config: Mapping[str, str], env: Mapping[str, str]) -> Self:
        """Read a stack's configuration as the engine hands it over: full keys, values as text.

        Raises SettingsError with every problem there is.
        """
        providers, problems = Providers.read(config, env)
        for full_key in config:
            namespace, _, key = full_key.partition(":")
            if namespace == NAMESPACE and key not in SECTIONS:
                problems.append(Problem(full_key, f"unknown key; {suggestion(key, SECTIONS)}"))
        sections: dict[str, Section] = {}
        written: dict[str, dict[str, Any]] = {}
        for key, model in SECTIONS.items():
            section, text = f"{NAMESPACE}:{key}", config.get(f"{NAMESPACE}:{key}") or "{}"
            try:
                sections[key] = model.model_validate_json(text, by_alias=True)
            except ValidationError as error:
                problems += from_pydantic(error, section, model.model_json_schema(), secrets=_SECRET_KEYS)
            written[key] = _mapping(text)
        # What spans several keys is checked on what is written, so that it is reported beside the rest.
        problems += _check_registry(written["registry"])
        problems += _check_storage(written["storage"])
        if problems or providers is None:
            raise SettingsError(f"Pulumi.{stack}.yaml", problems)
        return cls.model_validate({"stack": stack, "providers": providers, **sections})

    @property
    def registry_version(self) -> registry_model.RegistryVersion:
        """The registry's major version; `read` made sure that there is one."""
        version = _major_version(self.registry.image, self.registry.version)
        assert version is not None  # noqa: S101 - for the type checker
        return version

    @property
    def volume(self) -> str:
        """Name of the Nomad volume."""
        if self.storage.volume:
            return self.storage.volume
        if self.registry.name == DEFAULT_NAME:
            return "registry_data"
        return f"{self.registry.name.replace('-', '_')}_data"

    @property
    def volume_path(self) -> PurePosixPath:
        """Directory on the host: `storage.path`, else root, class and volume joined."""
        storage = self.storage
        if storage.path:
            return storage.path
        return storage.root / ("" if storage.class_ == "none" else storage.class_) / self.volume

    @property
    def registry_config(self) -> dict[str, Any]:
        """The registry's config.yml as data: our defaults with `registry.config` merged over them."""
        return _merged_config(self.registry.config, self.registry_version)

    @property
    def config_secrets(self) -> dict[str, str]:
        """Secrets that the stack put into `registry.config`, by their place, as `storage.s3.secretkey`."""
        config = self.registry_config
        return {
            registry_model.dotted(path): str(registry_model.value_at(config, path))
            for path in registry_model.secret_paths(config)
        }

    @property
    def volume_stanza(self) -> str:
        """What a Nomad client's configuration needs to offer the volume (static kind)."""
        return (
            "client {\n"
            f'  host_volume "{self.volume}" {{\n'
            f'    path      = "{self.volume_path}"\n'
            "    read_only = false\n"
            "  }\n"
            "}\n"
        )

    @property
    def nomad_jwks_url(self) -> str:
        """Where Vault finds the keys that Nomad signs workload identities with."""
        return self.vault.workload.jwks_url or f"{self.providers.nomad.address}/.well-known/jwks.json"

    @property
    def registry_address(self) -> str:
        """The registry's own port, as docker and crane take it."""
        return f"{self.registry.hostname}:{self.registry.port}"

    @property
    def registry_url(self) -> str:
        """The https name that people use."""
        port = "" if self.tls.port == 443 else f":{self.tls.port}"
        return f"https://{self.registry.hostname}{port}"


def _mapping(text: str) -> dict[str, Any]:
    """Read a section as far as it can be read: a wrong one has been reported already."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _major_version(image: object, version: object) -> registry_model.RegistryVersion | None:
    """Tell the registry's major version: what `version` says, else what the image's tag says."""
    if version in (2, 3):
        return registry_model.RegistryVersion(str(version))
    return registry_model.version_of_image(image) if isinstance(image, str) else None


def _merged_config(config: Mapping[str, Any], version: registry_model.RegistryVersion) -> dict[str, Any]:
    defaults = registry_model.defaults(version)
    merged = registry_model.merge(defaults, config)
    # What the job relies on stays, also when a whole section was removed with null.
    owned = {"http": {key: defaults["http"][key] for key in ("addr", "debug")}}
    return registry_model.merge(merged, owned)


def _check_registry(written: Mapping[str, Any]) -> list[Problem]:
    """Check the ports against each other, and config.yml for the version that the image tells."""
    section, problems = f"{NAMESPACE}:registry", []
    port, debug_port = written.get("port", 5000), written.get("debugPort", 5001)
    if port == debug_port:
        message = f"{port} is registry.port already; give each its own"
        problems.append(Problem(f"{section}.debugPort", message))
    image, config = written.get("image", "registry:3"), written.get("config") or {}
    version = _major_version(image, written.get("version"))
    if version is None:
        message = f"{image!r} does not tell the registry's major version; set registry.version to 2 or 3"
        return [*problems, Problem(f"{section}.image", message)]
    if not isinstance(config, Mapping):
        return problems
    problems += [
        Problem(key_of(section, ("config", *path)), f"is not set here: {reason}")
        for path, reason in _OWNED.items()
        if _has(config, path)
    ]
    for found in registry_model.check(_merged_config(config, version), version):
        value = f"{found.value!r} " if isinstance(found.value, str | int | float) else ""
        problems.append(Problem(key_of(section, ("config", *found.path)), f"{value}{found.message}"))
    return problems


def _check_storage(written: Mapping[str, Any]) -> list[Problem]:
    """Check that a dynamic volume, and only that, names its node."""
    key, dynamic = f"{NAMESPACE}:storage.nodeId", written.get("kind") == "dynamic"
    if dynamic and "nodeId" not in written:
        return [Problem(key, "is required with kind dynamic; `nomad node status -verbose` prints it")]
    if not dynamic and "nodeId" in written:
        return [Problem(key, "is for kind dynamic only; remove it, or set storage.kind to dynamic")]
    return []


def _has(config: object, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(config, Mapping) or step not in config:
            return False
        config = config[step]
    return True


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
