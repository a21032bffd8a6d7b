"""Auth mode vault: everything by which Vault signs clients' tokens and the registry takes them."""

from dataclasses import dataclass

import pulumi

from components.oidc_login import OidcLogin, OidcLoginArgs
from components.pull_auth import PullAuth, PullAuthArgs
from components.token_grants import TokenGrants, TokenGrantsArgs
from components.token_keys import TokenKeys, TokenKeysArgs, keys_refilled
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TokenAuthArgs:
    """The settings, and what the other components created."""

    settings: Settings
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity


class TokenAuth(pulumi.ComponentResource):
    """Joins the grants with the registry's keys, with people, and with Nomad's clients.

    Produces: TokenGrants and TokenKeys; with `auth.oidc` an OidcLogin, with `auth.nodes` a PullAuth.
    """

    jwks_path: pulumi.Output[str]
    """KV v2 API path of the keys that verify tokens; known at preview."""

    def __init__(self, name: str, args: TokenAuthArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:TokenAuth", name, None, opts)
        settings, child = args.settings, pulumi.ResourceOptions(parent=self)
        grants = TokenGrants(name, TokenGrantsArgs.of(settings), child)
        keys = TokenKeys(
            f"{name}-keys",
            TokenKeysArgs(
                settings=settings,
                login_backend=args.login_backend,
                after_create=[keys_refilled(settings)],
            ),
            # Vault shows a key only when a role uses it.
            pulumi.ResourceOptions(parent=self, depends_on=[grants]),
        )
        if settings.auth.oidc:
            people = OidcLoginArgs.of(settings, settings.auth.oidc, policies=grants.policies)
            OidcLogin(f"{name}-people", people, child)
        if settings.auth.nodes:
            nodes = PullAuthArgs.of(
                settings, settings.auth.nodes, policies=grants.policies, login_backend=args.login_backend
            )
            PullAuth(f"{name}-nodes", nodes, child)
        self.jwks_path = keys.jwks_path
        self.register_outputs({"jwksPath": self.jwks_path})
