"""Private images for Nomad's clients: an auth file on each, kept fresh with one grant's tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_nomad as nomad
import pulumi_vault as vault

from checks.pull_volume import require_pull_volume
from checks.servers import Servers
from components.certificates import vault_ca
from components.workload_role import role_of_job
from config.sections.auth import Nodes
from config.settings import Settings
from jobs.nomad import render
from jobs.pull_auth import pull_auth_job
from jobs.vault_login import VaultLogin


@dataclass(frozen=True, kw_only=True)
class PullAuthArgs:
    """The settings, and what the other components created."""

    settings: Settings
    grant: str  # identity token role whose tokens the clients use
    grant_policy: pulumi.Input[str]  # the policy that reads such a token
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity
    before_deploy: Sequence[pulumi.ResourceHook] = ()  # checks that must pass before Nomad is given the job

    @classmethod
    def of(
        cls,
        settings: Settings,
        nodes: Nodes,
        *,
        policies: Mapping[str, pulumi.Input[str]],
        login_backend: pulumi.Input[str],
    ) -> Self:
        """Take them from a stack's settings, and from `policies`, which have a grant's name each."""
        return cls(
            settings=settings,
            grant=settings.grant_role(nodes.grant),
            grant_policy=policies[nodes.grant],
            login_backend=login_backend,
            before_deploy=[pull_volume_offered(settings)],
        )


class PullAuth(pulumi.ComponentResource):
    """Runs a system job that writes the auth file on every client that offers the volume for it.

    Vault signs identity tokens only for an entity. With identity `workload` the job's own log-in has one.
    With `policies` it has none, so its token may do nothing but log in by an AppRole made for it.

    Produces: a Job; with `workload` an AuthBackendRole, with `policies` an AuthBackend of type approle, its
    AuthBackendRole and a Policy.
    """

    def __init__(self, name: str, args: PullAuthArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:PullAuth", name, None, opts)
        settings, ca = args.settings, vault_ca(args.settings)
        policy = approle = None
        role = role_of_job(
            f"{name}-role",
            settings,
            backend=args.login_backend,
            job=settings.pull_job,
            policies=[args.grant_policy],
            parent=self,
        )
        if role is None:
            approle = self._approle(name, args)
            policy = vault.Policy(
                f"{name}-policy",
                name=settings.pull_job,
                policy=approle.apply(policy_text),
                opts=pulumi.ResourceOptions(parent=self),
            ).name
        hooks: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = list(args.before_deploy)
        job = nomad.Job(
            f"{name}-job",
            jobspec=pulumi.Output.all(policy=policy, role=role, approle=approle).apply(
                lambda known: render(
                    pull_auth_job(
                        settings,
                        token_path=f"identity/oidc/token/{args.grant}",
                        approle=known["approle"],
                        login=VaultLogin(policy=known["policy"], role=known["role"]),
                        vault_ca=ca,
                    )
                )
            ),
            json=True,
            purge_on_destroy=True,
            rerun_if_dead=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(before_create=hooks, before_update=hooks),
            ),
        )
        self.register_outputs({"jobId": job.name})

    def _approle(self, name: str, args: PullAuthArgs) -> pulumi.Output[str]:
        """Make the AppRole and give its path."""
        settings, child = args.settings, pulumi.ResourceOptions(parent=self)
        backend = vault.AuthBackend(
            f"{name}-approle",
            type="approle",
            path=f"{settings.registry.name}-approle",
            description="Nomad clients that pull from the registry",
            opts=child,
        )
        role = vault.approle.AuthBackendRole(
            f"{name}-approle-role",
            backend=backend.path,
            role_name=settings.pull_job,
            secret_id_num_uses=1,
            secret_id_ttl=60,  # seconds; the task uses it at once
            token_policies=[args.grant_policy],
            token_ttl=60,  # seconds, for one request
            token_type="batch",  # noqa: S106 - a kind of token: one that Vault need not store
            opts=child,
        )
        return pulumi.Output.concat("auth/", role.backend, "/role/", role.role_name)


def policy_text(approle: str) -> str:
    """Write a policy that can log in by the AppRole, and nothing else."""
    return (
        f'path "{approle}/role-id" {{\n  capabilities = ["read"]\n}}\n'
        f'path "{approle}/secret-id" {{\n  capabilities = ["update"]\n}}'
    )


def pull_volume_offered(settings: Settings) -> pulumi.ResourceHook:
    """Stop before the job if no client offers the volume for the file."""

    def require(_: pulumi.ResourceHookArgs) -> None:
        with Servers(settings.providers) as servers:
            require_pull_volume(servers.nomad, settings)

    return pulumi.ResourceHook("pull-volume-offered", require)
