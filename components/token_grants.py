"""Tokens for single repositories, signed by Vault: who may do what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_vault as vault

from config.registry import go_duration
from config.sections.auth import Grant
from config.settings import Settings
from jobs.registry_auth import TOKEN_ALGORITHM

_DAY = 24 * 3600  # seconds
# Vault shows the next key a whole period ahead, and the key set is fetched daily, so no token waits for it.
_ROTATION = 30 * _DAY
_VERIFICATION = 2 * _DAY  # longer than any token lives; Vault refuses a role whose tokens outlive it


@dataclass(frozen=True, kw_only=True)
class TokenGrantsArgs:
    """Grants and the names that they have in Vault."""

    key: str  # named key that signs the tokens
    audience: str  # for whom the tokens are: the registry
    grants: Mapping[str, Grant]
    roles: Mapping[str, str]  # by grant: its identity token role, and the policy that reads a token

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from a stack's settings."""
        grants = settings.auth.grants
        return cls(
            key=settings.registry.name,
            audience=settings.registry.hostname,
            grants=grants,
            roles={grant: settings.grant_role(grant) for grant in grants},
        )


class TokenGrants(pulumi.ComponentResource):
    """Makes Vault sign tokens that the registry takes, each for the repositories of one grant.

    Produces: an identity OidcKey; for each grant an OidcRole, whose template carries the `access` claim of
    the distribution token specification, and a Policy that reads a token of just that role.
    """

    key: pulumi.Output[str]
    """Name of the key; known at preview."""

    policies: Mapping[str, pulumi.Output[str]]
    """By grant: the policy for those who are to have it."""

    def __init__(self, name: str, args: TokenGrantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:TokenGrants", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = vault.identity.OidcKey(
            f"{name}-key",
            name=args.key,
            algorithm=TOKEN_ALGORITHM,
            rotation_period=_ROTATION,
            verification_ttl=_VERIFICATION,
            allowed_client_ids=[args.audience],
            opts=child,
        )
        self.key = key.name
        self.policies = {}
        for grant, content in args.grants.items():
            role = vault.identity.OidcRole(
                f"{name}-{grant}",
                name=args.roles[grant],
                key=key.name,
                client_id=args.audience,
                template=access_claim(content),
                ttl=go_duration(content.ttl) // 10**9,
                opts=child,
            )
            policy = vault.Policy(
                f"{name}-{grant}-policy",
                name=args.roles[grant],
                policy=pulumi.Output.concat(
                    'path "identity/oidc/token/', role.name, '" {\n  capabilities = ["read"]\n}'
                ),
                opts=child,
            )
            self.policies[grant] = policy.name
        self.register_outputs({"key": self.key, "policies": self.policies})


def access_claim(grant: Grant) -> str:
    """Write a role's template (distribution: Token Authentication Specification, `access`)."""
    access = [
        {"type": "repository", "name": repository, "actions": list(actions)}
        for repository, actions in sorted(grant.repositories.items())
    ]
    return json.dumps({"access": access})
