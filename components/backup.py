"""Backups of the images to a second volume or a bucket, and what tries them out and restores them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_nomad as nomad
import pulumi_vault as vault

from checks.backup_volume import require_backup_volume
from checks.servers import Servers
from components.certificates import consul_ca, vault_ca
from components.freeze_policy import freeze_policy
from components.kept_check import kept_check
from components.workload_role import role_of_job
from config.settings import Settings
from jobs.backup import BUCKET_KEYS, BackupJobs, drill_service, secret_name
from jobs.nomad import Job, render
from jobs.vault_login import VaultLogin


@dataclass(frozen=True, kw_only=True)
class BackupArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str]
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity
    nomad_acl: bool  # whether Nomad asks for rights
    before_deploy: Sequence[pulumi.ResourceHook] = ()  # checks that must pass before Nomad is given a job

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        volume_source: pulumi.Input[str],
        login_backend: pulumi.Input[str],
        nomad_acl: bool,
    ) -> Self:
        """Take them from a stack's settings."""
        return cls(
            settings=settings,
            volume_source=volume_source,
            login_backend=login_backend,
            nomad_acl=nomad_acl,
            before_deploy=[backup_volume_offered(settings)] if settings.backup_volume else [],
        )


class Backup(pulumi.ComponentResource):
    """Backs up by a schedule, reads the newest snapshot back by another, and restores when it is told to.

    The first backup makes the password, in Vault, where no job and no deploy can change it: destroying this
    leaves the backups and their password as they are.

    Produces: a Policy that makes and reads the password, for the job that backs up, and one that reads it,
    for the others; two periodic and two parameterized Jobs, each with identity `workload` with an
    AuthBackendRole; for a bucket a SecretV2 with its keys; on Nomad with ACLs an AclPolicy for each job that
    freezes; a command that takes the drill's check out of Consul in the end.
    """

    secret_path: str
    """KV v2 API path of the secret with the password."""

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:Backup", name, None, opts)
        settings = args.settings
        self.secret_path = f"{settings.vault.mount}/data/{secret_name(settings)}"
        keys_path = self._bucket_keys(name, settings)

        def policy(title: str, kind: str, rights: Sequence[str]) -> vault.Policy:
            return vault.Policy(
                f"{name}-{title}",
                name=settings.maintenance_job(kind),
                policy=pulumi.Output.from_input(keys_path).apply(
                    lambda path: policy_text(self.secret_path, rights, path)
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )

        makes = policy("policy", "backup", ["create", "read"]).name
        reads = policy("reader-policy", "snapshots", ["read"]).name
        check = kept_check(f"{name}-drill-check", settings, service=drill_service(settings), parent=self)

        def job(
            kind: str,
            make: Callable[[BackupJobs, VaultLogin], Job],
            policy: pulumi.Output[str],
            after: Sequence[pulumi.Resource] = (),
        ) -> None:
            self._job(name, args, kind, make, policy=policy, keys_path=keys_path, after=after)

        job("backup", BackupJobs.backup, makes, self._freeze(name, args, "backup"))
        job("drill", BackupJobs.drill, reads, [check])
        job("snapshots", BackupJobs.snapshots, reads)
        job("restore", BackupJobs.restore, reads, self._freeze(name, args, "restore"))
        self.register_outputs({"secretPath": self.secret_path})

    def _bucket_keys(self, name: str, settings: Settings) -> pulumi.Output[str] | None:
        """Put the keys of the bucket into Vault and give the KV v2 API path; None without a bucket."""
        backup = settings.maintenance.backup
        if backup is None or backup.s3 is None:
            return None
        keys = {"access_key": backup.s3.access_key, "secret_key": backup.s3.secret_key}
        secret = vault.kv.SecretV2(
            f"{name}-bucket-keys",
            mount=settings.vault.mount,
            name=f"{settings.registry.name}/{BUCKET_KEYS}",
            data_json=pulumi.Output.secret(json.dumps(keys)),
            delete_all_versions=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Out of inputs, which pass through: the secret's own `path` is unknown at preview.
        return pulumi.Output.concat(secret.mount, "/data/", secret.name)

    def _job(
        self,
        name: str,
        args: BackupArgs,
        kind: str,
        make: Callable[[BackupJobs, VaultLogin], Job],
        *,
        policy: pulumi.Output[str],
        keys_path: pulumi.Output[str] | None,
        after: Sequence[pulumi.Resource],
    ) -> None:
        settings = args.settings
        trusted = {"vault_ca": vault_ca(settings), "consul_ca": consul_ca(settings)}
        role = role_of_job(
            f"{name}-{kind}-role",
            settings,
            backend=args.login_backend,
            job=settings.maintenance_job(kind),
            policies=[policy],
            parent=self,
        )

        def jobspec(volume_source: str, keys_path: str | None, policy: str, role: str | None) -> str:
            jobs = BackupJobs(
                settings=settings,
                volume_source=volume_source,
                secret_path=self.secret_path,
                bucket_keys_path=keys_path,
                **trusted,
            )
            return render(make(jobs, VaultLogin(policy=policy, role=role)))

        hooks: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = list(args.before_deploy)
        nomad.Job(
            f"{name}-{kind}",
            jobspec=pulumi.Output.all(
                volume_source=args.volume_source, keys_path=keys_path, policy=policy, role=role
            ).apply(lambda known: jobspec(**known)),
            json=True,
            purge_on_destroy=True,
            rerun_if_dead=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after,
                hooks=pulumi.ResourceHookBinding(before_create=hooks, before_update=hooks),
            ),
        )

    def _freeze(self, name: str, args: BackupArgs, kind: str) -> list[pulumi.Resource]:
        """Let a job make the registry read-only, where Nomad asks for rights."""
        if not args.nomad_acl:
            return []
        job = args.settings.maintenance_job(kind)
        return [freeze_policy(f"{name}-{kind}-freeze", args.settings, job=job, parent=self)]


def policy_text(password: str, rights: Sequence[str], bucket_keys: str | None) -> str:
    """Write a policy with rights to the password, never `update`, and that reads a bucket's keys."""
    rules = [(password, rights), *([(bucket_keys, ["read"])] if bucket_keys else [])]
    return "\n".join(f'path "{path}" {{\n  capabilities = {json.dumps(each)}\n}}' for path, each in rules)


def backup_volume_offered(settings: Settings) -> pulumi.ResourceHook:
    """Stop before the jobs if the machine with the images does not offer the volume for the backups."""

    def require(_: pulumi.ResourceHookArgs) -> None:
        with Servers(settings.providers) as servers:
            require_backup_volume(servers.nomad, settings)

    return pulumi.ResourceHook("backup-volume-offered", require)
