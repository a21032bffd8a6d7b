"""The registry's secrets in Vault, and the one policy that reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_command as command
import pulumi_vault as vault

from config.settings import Vault
from jobs.registry import VaultGrant


@dataclass(frozen=True, kw_only=True)
class VaultAccessArgs:
    """What the registry keeps in Vault, and who may read it."""

    name: str  # policy, role, and path below the mount
    vault: Vault  # mount and identity
    users: Mapping[str, str]  # user names with bcrypt hashes
    config_secrets: Mapping[str, str]  # secrets out of `registry.config`, by their place there
    namespace: str  # Nomad namespace of the job
    job: str  # Nomad job that may log in with its identity
    jwks_url: str  # Nomad's public keys


class VaultAccess(pulumi.ComponentResource):
    """Puts the secrets into a KV v2 engine and lets the job read exactly those.

    Produces: a Policy; a SecretV2 each for http.secret, the users and, if there are any, the secrets of
    `registry.config`; a command that makes http.secret once; with identity `workload` an AuthBackendRole
    and, with `workload.createBackend`, its AuthBackend.
    """

    grant: pulumi.Output[VaultGrant]
    """What the job needs to reach its secrets; known at preview."""

    def __init__(self, name: str, args: VaultAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:VaultAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        secrets = {
            "http": self._http_secret(name).apply(lambda secret: json.dumps({"secret": secret.strip()})),
            "users": pulumi.Output.secret(json.dumps(args.users, sort_keys=True)),
        }
        if args.config_secrets:
            secrets["config"] = pulumi.Output.secret(json.dumps(args.config_secrets, sort_keys=True))
        stored = {
            key: vault.kv.SecretV2(
                f"{name}-{key}",
                mount=args.vault.mount,
                name=f"{args.name}/{key}",
                data_json=data,
                delete_all_versions=True,  # destroy leaves no secret behind, nor an old version of one
                opts=child,
            )
            for key, data in secrets.items()
        }
        policy = vault.Policy(
            f"{name}-policy",
            name=args.name,
            policy=policy_text(args.vault.mount, args.name, stored),
            opts=child,
        )
        role = self._role(name, args, policy.name) if args.vault.identity == "workload" else None
        paths = {
            # Out of inputs, which pass through: the secret's own `path` is unknown at preview.
            key: pulumi.Output.concat(secret.mount, "/data/", secret.name)
            for key, secret in stored.items()
        }
        self.grant = pulumi.Output.all(
            policy=policy.name,
            role=role.role_name if role else None,
            http_path=paths["http"],
            users_path=paths["users"],
            config_path=paths.get("config"),
        ).apply(lambda values: VaultGrant(**values))
        self.policy_name = policy.name
        self.register_outputs({"policyName": self.policy_name})

    def _http_secret(self, name: str) -> pulumi.Output[str]:
        """Make http.secret, which signs the state of uploads, once: a new one breaks uploads in flight."""
        made = command.local.Command(
            f"{name}-http-secret",
            create='python3 -c "import secrets; print(secrets.token_hex(32))"',
            logging=command.local.Logging.NONE,
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["stdout"], ignore_changes=["create"]
            ),
        )
        return pulumi.Output.secret(made.stdout)

    def _role(
        self, name: str, args: VaultAccessArgs, policy: pulumi.Output[str]
    ) -> vault.jwt.AuthBackendRole:
        workload = args.vault.workload
        backend: pulumi.Input[str] = workload.backend
        if workload.create_backend:
            backend = vault.jwt.AuthBackend(
                f"{name}-backend",
                path=workload.backend,
                description="Nomad workload identities",
                jwks_url=args.jwks_url,
                jwt_supported_algs=["RS256", "EdDSA"],
                opts=pulumi.ResourceOptions(parent=self),
            ).path
        return vault.jwt.AuthBackendRole(
            f"{name}-role",
            backend=backend,
            role_name=args.name,
            role_type="jwt",  # the provider's default is oidc
            bound_audiences=[workload.audience],
            bound_claims={"nomad_namespace": args.namespace, "nomad_job_id": args.job},
            user_claim="/nomad_job_id",
            user_claim_json_pointer=True,
            claim_mappings={claim: claim for claim in ("nomad_namespace", "nomad_job_id", "nomad_task")},
            token_type="service",  # noqa: S106 - a kind of token, not a token
            token_period=1800,  # seconds; Nomad renews it for as long as the task runs
            token_policies=[policy],
            opts=pulumi.ResourceOptions(parent=self),
        )


def policy_text(mount: str, name: str, keys: Mapping[str, object]) -> str:
    """Write a policy that reads the given secrets, and nothing else."""
    return "\n".join(
        f'path "{mount}/data/{name}/{key}" {{\n  capabilities = ["read"]\n}}' for key in sorted(keys)
    )
