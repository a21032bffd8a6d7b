"""Log-in to Vault for people, whose groups at an OpenID Connect provider decide their grants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_vault as vault

from config.names import OIDC_CALLBACK
from config.sections.auth import Oidc
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class OidcLoginArgs:
    """The provider, and what its groups get."""

    mount: str
    role: str
    oidc: Oidc
    policies: Mapping[str, pulumi.Input[str]]  # by grant

    @classmethod
    def of(cls, settings: Settings, oidc: Oidc, *, policies: Mapping[str, pulumi.Input[str]]) -> Self:
        """Take them from a stack's settings."""
        return cls(mount=settings.oidc_mount, role=settings.registry.name, oidc=oidc, policies=policies)


class OidcLogin(pulumi.ComponentResource):
    """Makes an OIDC auth method, and for each group of the provider an external group with its grants.

    A person in none of the groups can log in and has no grant.

    Produces: an AuthBackend and AuthBackendRole; for each group a Group and its GroupAlias.
    """

    def __init__(self, name: str, args: OidcLoginArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:OidcLogin", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        backend = vault.jwt.AuthBackend(
            f"{name}-backend",
            path=args.mount,
            type="oidc",
            description="People who use the registry",
            oidc_discovery_url=args.oidc.discovery_url,
            oidc_discovery_ca_pem=args.oidc.discovery_ca,
            oidc_client_id=args.oidc.client_id,
            oidc_client_secret=pulumi.Output.secret(args.oidc.client_secret),
            default_role=args.role,
            opts=child,
        )
        vault.jwt.AuthBackendRole(
            f"{name}-role",
            backend=backend.path,
            role_name=args.role,
            role_type="oidc",
            user_claim="sub",
            groups_claim="groups",
            oidc_scopes=["groups"],
            allowed_redirect_uris=[OIDC_CALLBACK],
            token_ttl=3600,  # seconds; long enough to fetch tokens for one session of work
            opts=child,
        )
        for group, grants in args.oidc.groups.items():
            external = vault.identity.Group(
                f"{name}-{group}",
                name=f"{args.mount}-{group}",
                type="external",
                policies=[args.policies[grant] for grant in grants],
                opts=child,
            )
            vault.identity.GroupAlias(
                f"{name}-{group}-alias",
                name=group,
                mount_accessor=backend.accessor,
                canonical_id=external.id,
                opts=child,
            )
        self.register_outputs({"mount": backend.path})
