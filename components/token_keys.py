"""The public keys that verify Vault's tokens, kept where the registry reads them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_nomad as nomad
import pulumi_vault as vault

from checks.servers import Servers
from checks.token_keys import refill_keys
from components.certificates import vault_ca
from components.workload_role import role_of_job
from config.settings import Settings
from jobs.nomad import render
from jobs.token_keys import token_keys_job
from jobs.vault_login import VaultLogin


@dataclass(frozen=True, kw_only=True)
class TokenKeysArgs:
    """The settings, and what the other components created."""

    settings: Settings
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity
    after_create: Sequence[pulumi.ResourceHook] = ()  # what fills a secret that took another's place


class TokenKeys(pulumi.ComponentResource):
    """Makes the secret with the key set, and the periodic job that keeps it as Vault's keys are.

    Produces: a SecretV2 that is empty until the job first ran; a Policy that writes just that; with identity
    `workload` an AuthBackendRole; a Job.
    """

    jwks_path: pulumi.Output[str]
    """KV v2 API path of the key set, a JSON text in its field `jwks`; known at preview."""

    def __init__(self, name: str, args: TokenKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:TokenKeys", name, None, opts)
        settings, child = args.settings, pulumi.ResourceOptions(parent=self)
        hooks: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = list(args.after_create)
        secret = vault.kv.SecretV2(
            f"{name}-jwks",
            mount=settings.vault.mount,
            name=f"{settings.registry.name}/jwks",
            data_json=json.dumps({"jwks": json.dumps({"keys": []})}),
            disable_read=True,  # what is in it is the job's; the resource is there to be destroyed
            delete_all_versions=True,
            opts=pulumi.ResourceOptions(
                parent=self, hooks=pulumi.ResourceHookBinding(after_create=hooks) if hooks else None
            ),
        )
        path = pulumi.Output.concat(secret.mount, "/data/", secret.name)
        policy = vault.Policy(
            f"{name}-policy", name=settings.keys_job, policy=path.apply(policy_text), opts=child
        )
        role = role_of_job(
            f"{name}-role",
            settings,
            backend=args.login_backend,
            job=settings.keys_job,
            policies=[policy.name],
            parent=self,
        )
        ca = vault_ca(settings)
        job = nomad.Job(
            f"{name}-job",
            jobspec=pulumi.Output.all(path=path, policy=policy.name, role=role).apply(
                lambda known: render(
                    token_keys_job(
                        settings,
                        jwks_path=known["path"],
                        login=VaultLogin(policy=known["policy"], role=known["role"]),
                        vault_ca=ca,
                    )
                )
            ),
            json=True,
            purge_on_destroy=True,
            rerun_if_dead=True,
            opts=child,
        )
        # The jobspec passes through: the path waits for the job and is known at preview.
        self.jwks_path = pulumi.Output.all(path, job.jobspec).apply(lambda known: str(known[0]))
        self.register_outputs({"jwksPath": self.jwks_path})


def policy_text(path: str) -> str:
    """Write a policy that reads and writes the secret, and nothing else."""
    return f'path "{path}" {{\n  capabilities = ["create", "read", "update"]\n}}'


def keys_refilled(settings: Settings) -> pulumi.ResourceHook:
    """Fill a key set that was replaced as it is: the job that would do it runs once a day."""

    def refill(args: pulumi.ResourceHookArgs) -> None:
        inputs = args.new_inputs or {}
        with Servers(settings.providers) as servers:
            refill_keys(servers.nomad, settings, f"{inputs['mount']}/data/{inputs['name']}")

    return pulumi.ResourceHook("keys-refilled", refill)
