"""The `auth` section: who may talk to the registry."""

from typing import Annotated

from config.registry.section import NEEDS_3, Section
from config.registry.values import Text, one_of


class NoAuth(Section):
    """Everybody may do everything."""


class Silly(Section):
    """A check for the mere presence of an Authorization header; for development."""

    realm: Text
    service: Text


class Htpasswd(Section):
    """Basic authentication against a file of bcrypt hashes, read again when it changes."""

    realm: Text
    path: Text


class Token(Section):
    """Bearer tokens signed by someone whose keys the registry has."""

    realm: Text
    service: Text
    issuer: Text
    rootcertbundle: Text | None = None
    autoredirect: bool | None = None
    jwks: Annotated[Text | None, NEEDS_3] = None  # path of a JSON Web Key Set, not a URL
    autoredirectpath: Annotated[Text | None, NEEDS_3] = None
    signingalgorithms: Annotated[
        list[
            Annotated[
                str,
                one_of(
                    *("EdDSA", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512"),
                    *("ES256", "ES384", "ES512", "PS256", "PS384", "PS512"),
                ),
            ]
        ]
        | None,
        NEEDS_3,
    ] = None


class Auth(Section):
    """One way to authenticate."""

    none: NoAuth | None = None
    silly: Silly | None = None
    htpasswd: Htpasswd | None = None
    token: Token | None = None
