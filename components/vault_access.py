"""The registry's secrets in Vault, and the one policy that reads them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_command as command
import pulumi_vault as vault

from components.workload_role import workload_role
from config.sections.vault import Vault
from config.settings import Settings
from jobs.registry import VaultGrant


@dataclass(frozen=True, kw_only=True)
class VaultAccessArgs:
    """What the registry keeps in Vault, and who may read it."""

    name: str  # policy, role, job, and path below the mount
    vault: Vault  # mount and identity
    users: Mapping[str, str] | None  # user names with bcrypt hashes, in auth mode htpasswd
    config_secrets: Mapping[str, str]  # secrets out of `registry.config`, by their place there
    namespace: str  # Nomad namespace of the job, which is named like all this
    jwks_url: str  # Nomad's public keys
    jwks_path: str | None = None  # KV v2 API path of the keys that verify clients' tokens
    issue_path: pulumi.Input[str] | None = None  # where a PKI engine issues the registry's certificate

    @classmethod
    def of(cls, settings: Settings, *, issue_path: pulumi.Input[str] | None) -> Self:
        """Take them from a stack's settings."""
        return cls(
            name=settings.registry.name,
            vault=settings.vault,
            users=settings.auth.users if settings.auth.mode == "htpasswd" else None,
            config_secrets=settings.config_secrets,
            namespace=settings.registry.namespace,
            jwks_url=settings.nomad_jwks_url,
            jwks_path=settings.secret_paths.get("jwks"),
            issue_path=issue_path,
        )


class VaultAccess(pulumi.ComponentResource):
    """Puts the secrets into a KV v2 engine and lets the job read exactly those.

    Produces: a Policy; a SecretV2 each for http.secret and, where there are any, the users and the secrets
    of `registry.config`; a command that makes http.secret once; with identity `workload` an AuthBackendRole
    and, with `workload.createBackend`, its AuthBackend.
    """

    grant: pulumi.Output[VaultGrant]
    """What the job needs to reach its secrets; known at preview."""

    login_backend: pulumi.Input[str]
    """Auth backend at which jobs log in with their identity."""

    def __init__(self, name: str, args: VaultAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:VaultAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        secrets = {
            "http": self._http_secret(name).apply(lambda secret: json.dumps({"secret": secret.strip()}))
        }
        if args.users is not None:
            secrets["users"] = pulumi.Output.secret(json.dumps({"htpasswd": htpasswd(args.users)}))
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
        paths: dict[str, pulumi.Input[str]] = {
            # Out of inputs, which pass through: the secret's own `path` is unknown at preview.
            key: pulumi.Output.concat(secret.mount, "/data/", secret.name)
            for key, secret in stored.items()
        }
        policy = vault.Policy(
            f"{name}-policy",
            name=args.name,
            policy=pulumi.Output.all(paths=paths, issue_path=args.issue_path).apply(
                lambda known: policy_text(
                    filter(None, (*known["paths"].values(), args.jwks_path)), known["issue_path"]
                )
            ),
            opts=child,
        )
        self.login_backend = args.vault.workload.backend
        role = None
        if args.vault.identity == "workload":
            if args.vault.workload.create_backend:
                self.login_backend = self._backend(name, args).path
            role = workload_role(
                f"{name}-role",
                backend=self.login_backend,
                audience=args.vault.workload.audience,
                namespace=args.namespace,
                job=args.name,
                policies=[policy.name],
                parent=self,
            ).role_name
        self.grant = pulumi.Output.all(
            policy=policy.name, role=role, paths=paths, issue_path=args.issue_path
        ).apply(lambda values: VaultGrant(**values))
        self.register_outputs({"policyName": policy.name})

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

    def _backend(self, name: str, args: VaultAccessArgs) -> vault.jwt.AuthBackend:
        return vault.jwt.AuthBackend(
            f"{name}-backend",
            path=args.vault.workload.backend,
            description="Nomad workload identities",
            jwks_url=args.jwks_url,
            jwt_supported_algs=["RS256", "EdDSA"],
            opts=pulumi.ResourceOptions(parent=self),
        )


def htpasswd(users: Mapping[str, str]) -> str:
    """Write a line for each user.

    In Vault it is one text: OpenBao refuses a request with more than 1000 of them (max_request_json_strings).
    """
    return "".join(f"{user}:{hashed}\n" for user, hashed in sorted(users.items()))


def policy_text(read: Iterable[str], issue: str | None) -> str:
    """Write a policy that reads the given paths, has a certificate issued at another, and nothing else."""
    rules = [(path, "read") for path in sorted(read)]
    if issue:
        rules.append((issue, "update"))
    return "\n".join(f'path "{path}" {{\n  capabilities = ["{right}"]\n}}' for path, right in rules)
