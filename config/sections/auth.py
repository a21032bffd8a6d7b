"""Section `auth`: who may push and pull."""

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from config.sections.base import HttpUrl, Name, SecretText, Section, Text, duration_between, secret_schema

# The three prefixes that Go's bcrypt reads; cost, then 22 characters of salt and 31 of hash.
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
# OCI distribution specification, "Pulling manifests": the form of <name>.
_REPOSITORY = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*",
)
# Names of the jobs' own policies and roles, which are made of the registry's name in the same way.
_RESERVED_GRANTS = (
    *("keys", "pull", "gc", "gc-dry-run", "retention", "retention-apply"),
    *("backup", "restore", "drill", "snapshots", "mirrors", "mirrors-evict"),
)

Action = Literal["pull", "push", "delete"]
# The asymmetric ones of distribution 3.x.
Algorithm = Literal["EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"]


def _username(value: str) -> str:
    if not re.fullmatch(r"[^\s:]{1,128}", value):
        raise ValueError("a user name has no colon and no white space")
    if value.startswith("#") or not value.isprintable():  # a line of htpasswd with # is a comment
        raise ValueError("a user name has no # at its start, and no character that cannot be seen")
    return value


def _bcrypt_hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("is no bcrypt hash; set the password with `python -m ops users set NAME`")
    return value


def _repository(value: str) -> str:
    if len(value) > 255 or not _REPOSITORY.fullmatch(value):
        raise ValueError("is no repository name; write it like ci/app, in small letters, without host or tag")
    return value


def _grant(value: str) -> str:
    if value in _RESERVED_GRANTS:
        raise ValueError(f"a grant cannot be named {value}: the job of that name has its policy there")
    return value


def _actions(value: tuple[Action, ...]) -> tuple[Action, ...]:
    if "push" in value and "pull" not in value:
        raise ValueError("push needs pull beside it: a client looks at what is there before it pushes")
    return value


def _certificates(value: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in value:
        raise ValueError("is no PEM certificate; give the text of the file, with its BEGIN and END lines")
    if "PRIVATE KEY" in value:
        raise ValueError("has a private key in it; give only the certificates")
    return value


def _key_set(value: str) -> str:
    try:
        keys = json.loads(value)["keys"]
        private = any("d" in key or "k" in key for key in keys)
        if not all(isinstance(key, dict) for key in keys) or not keys:
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise ValueError('is no JSON Web Key Set; give its text, as {"keys": […]}') from None
    if private:
        raise ValueError("has a private or symmetric key in it; give only public keys")
    return value


Username = Annotated[str, AfterValidator(_username)]
BcryptHash = Annotated[
    str,
    AfterValidator(_bcrypt_hash),
    secret_schema({"type": "string", "pattern": "^" + _BCRYPT.pattern + "$"}),
]
Repository = Annotated[str, AfterValidator(_repository)]
GrantName = Annotated[Name, AfterValidator(_grant)]


class Grant(Section):
    """What a token of mode vault opens."""

    repositories: dict[
        Repository, Annotated[tuple[Action, ...], Field(min_length=1), AfterValidator(_actions)]
    ] = Field(min_length=1, description="Repositories, each with what may be done there: pull, push, delete.")
    ttl: Annotated[str, duration_between("1m", "24h")] = Field("15m", description="Life of a token.")


class Oidc(Section):
    """Log-in to Vault by an OpenID Connect provider; a person's groups there are grants here."""

    discovery_url: HttpUrl = Field(description="The provider's issuer URL.")
    client_id: Text = Field(min_length=1, description="Vault's client id at the provider.")
    client_secret: SecretText = Field(description="Its secret (a secret).")
    groups: dict[Text, tuple[str, ...]] = Field(
        min_length=1, description="Groups of the provider, each with the grants that its members get."
    )
    discovery_ca: Annotated[str, AfterValidator(_certificates)] | None = Field(
        None, description="PEM certificates to trust at the provider, if no public authority signed its own."
    )


class Nodes(Section):
    """Nomad's clients pull private images with a grant: an auth file on each, kept fresh."""

    grant: str = Field(description="Grant that the clients use.")
    volume: str = Field(
        "registry_auth",
        pattern=r"^[a-zA-Z0-9_-]{1,128}$",
        description="Host volume on every client; Nomad's docker plugin reads config.json there.",
    )


class External(Section):
    """A token server that is there already."""

    realm: HttpUrl = Field(description="URL at which clients ask for tokens.")
    service: Text = Field(min_length=1, description="Audience of the tokens.")
    issuer: Text = Field(min_length=1, description="Issuer of the tokens.")
    root_cert_bundle: Annotated[str, AfterValidator(_certificates)] | None = Field(
        None, description="PEM certificates whose keys sign the tokens."
    )
    jwks: Annotated[str, AfterValidator(_key_set)] | None = Field(
        None, description="JSON Web Key Set whose keys sign the tokens (3.x)."
    )
    signing_algorithms: tuple[Algorithm, ...] = Field(
        (), description="Accepted algorithms (3.x); all asymmetric ones by default."
    )


class Auth(Section):
    """Who may push and pull."""

    mode: Literal["htpasswd", "vault", "external", "none"] = Field(
        "htpasswd",
        description="htpasswd: users with passwords. vault: Vault signs tokens for repositories (3.x). "
        "external: a token server that is there. none: everybody may do everything.",
    )
    users: dict[Username, BcryptHash] = Field(
        {}, description="User names with bcrypt hashes (secrets); set by `python -m ops users set`."
    )
    grants: dict[GrantName, Grant] = Field({}, description="For mode vault: who may do what.")
    issuer: HttpUrl | None = Field(
        None,
        description="For mode vault: issuer in Vault's tokens, if it is not vault:address.",
    )
    oidc: Oidc | None = Field(None, description="For mode vault: people log in by their groups.")
    nodes: Nodes | None = Field(None, description="For mode vault: Nomad's clients pull private images.")
    external: External | None = Field(None, description="For mode external.")
    allow_anonymous: bool = Field(False, description="Allow mode none.")
