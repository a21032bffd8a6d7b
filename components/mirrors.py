"""The pull-through caches of other registries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_nomad as nomad
import pulumi_vault as vault

from components.preflight import nomad_acl
from components.vault_access import policy_text
from components.workload_role import workload_role
from config.sections.mirrors import Mirror
from config.settings import Settings
from jobs.mirrors import MirrorsGrant, mirrors_job
from jobs.mirrors_evict import KIND, mirrors_evict_job
from jobs.nomad import render
from jobs.registry import VaultGrant
from jobs.vault_login import VaultLogin

# Nomad gives up after the job's healthy_deadline (5 minutes); the provider must still be there to say so.
_DEPLOY_TIMEOUT = "15m"


@dataclass(frozen=True, kw_only=True)
class MirrorsArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str]  # of the volume for what they cache
    grant: pulumi.Input[VaultGrant]  # the registry's: where its users and its certificate are
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity
    jwks_path: pulumi.Input[str] | None = None  # keys of clients' tokens in Vault
    host_network: str | None = None  # Nomad host network on which the ports listen; the node's default one
    before_deploy: Sequence[pulumi.ResourceHook] = ()  # checks that must pass before Nomad is given the job


class Mirrors(pulumi.ComponentResource):
    """Runs the mirrors, a group of one job each, and keeps what they cache below its greatest size.

    Produces: a Job; a SecretV2 for each mirror with a user; if there is anything to read in Vault a Policy,
    with identity `workload` also an AuthBackendRole; if any mirror has a maxSize a periodic Job, on Nomad
    with ACLs with an AclPolicy.
    """

    addresses: pulumi.Output[list[dict[str, str]]]
    """Name, upstream and URL of each, once they serve."""

    def __init__(self, name: str, args: MirrorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:Mirrors", name, None, opts)
        settings = args.settings
        before: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = list(args.before_deploy)
        job = nomad.Job(
            f"{name}-job",
            jobspec=pulumi.Output.all(volume_source=args.volume_source, grant=self._grant(name, args)).apply(
                lambda values: render(mirrors_job(settings, host_network=args.host_network, **values))
            ),
            json=True,
            detach=False,  # by default the provider returns before the job is healthy
            purge_on_destroy=True,
            rerun_if_dead=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(create=_DEPLOY_TIMEOUT, update=_DEPLOY_TIMEOUT),
                hooks=pulumi.ResourceHookBinding(before_create=before, before_update=before),
            ),
        )
        if settings.limited_mirrors:
            self._eviction(name, args, job)
        self.addresses = job.name.apply(
            lambda _: [
                {
                    "name": mirror.name,
                    "upstream": mirror.upstream,
                    "url": settings.mirror_url(mirror),
                    "portUrl": settings.mirror_port_url(mirror),
                }
                for mirror in settings.mirrors.root
            ]
        )
        self.register_outputs({"addresses": self.addresses})

    def _grant(self, name: str, args: MirrorsArgs) -> pulumi.Output[MirrorsGrant]:
        """Keep the upstreams' users and passwords in Vault, and let the job read what it needs."""
        settings = args.settings
        upstream_paths = {
            mirror.name: self._secret(name, settings, mirror)
            for mirror in settings.mirrors.root
            if mirror.password
        }
        known = pulumi.Output.all(
            upstream_paths=upstream_paths, registry=args.grant, jwks_path=args.jwks_path
        ).apply(lambda values: _what_to_read(settings, **values))
        if not settings.mirrors_use_vault:
            return known.apply(lambda found: MirrorsGrant(login=None, **found))
        policy = vault.Policy(
            f"{name}-policy",
            name=settings.mirrors_job,
            policy=known.apply(_policy_text),
            opts=pulumi.ResourceOptions(parent=self),
        ).name
        role: pulumi.Output[str] | None = None
        if settings.vault.identity == "workload":
            role = workload_role(
                f"{name}-role",
                backend=args.login_backend,
                audience=settings.vault.workload.audience,
                namespace=settings.registry.namespace,
                job=settings.mirrors_job,
                policies=[policy],
                parent=self,
            ).role_name
        return pulumi.Output.all(known=known, policy=policy, role=role).apply(
            lambda values: MirrorsGrant(
                login=VaultLogin(policy=values["policy"], role=values["role"]), **values["known"]
            )
        )

    def _secret(self, name: str, settings: Settings, mirror: Mirror) -> pulumi.Output[str]:
        """Put a mirror's user and password into Vault, and give the path (KV v2 API)."""
        login = {"username": mirror.username, "password": mirror.password}
        secret = vault.kv.SecretV2(
            f"{name}-{mirror.name}",
            mount=settings.vault.mount,
            name=f"{settings.registry.name}/mirrors/{mirror.name}",
            data_json=pulumi.Output.secret(json.dumps(login, sort_keys=True)),
            delete_all_versions=True,  # destroy leaves no secret behind, nor an old version of one
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Out of inputs, which pass through: the secret's own `path` is unknown at preview.
        return pulumi.Output.concat(secret.mount, "/data/", secret.name)

    def _eviction(self, name: str, args: MirrorsArgs, mirrors: nomad.Job) -> None:
        settings, rights = args.settings, list[pulumi.Resource]()
        if nomad_acl(settings):
            job = settings.maintenance_job(KIND)
            policy = nomad.AclPolicy(
                f"{name}-evict-rights",
                name=job,
                description=f"Lets job {job} start the mirrors anew",
                rules_hcl=eviction_rules(settings),
                job_acl=nomad.AclPolicyJobAclArgs(namespace=settings.registry.namespace, job_id=job),
                opts=pulumi.ResourceOptions(parent=self),
            )
            rights.append(policy)
        nomad.Job(
            f"{name}-evict",
            jobspec=pulumi.Output.from_input(args.volume_source).apply(
                lambda source: render(mirrors_evict_job(settings, volume_source=source))
            ),
            json=True,
            purge_on_destroy=True,
            rerun_if_dead=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[mirrors, *rights]),
        )


def _what_to_read(
    settings: Settings, *, upstream_paths: Mapping[str, str], registry: VaultGrant, jwks_path: str | None
) -> dict[str, Any]:
    known = settings.mirrors_know_clients
    return {
        "upstream_paths": upstream_paths,
        "users_path": registry.paths.get("users") if known else None,
        "jwks_path": jwks_path if known else None,
        "issue_path": registry.issue_path,
    }


def _policy_text(found: Mapping[str, Any]) -> str:
    read = [*found["upstream_paths"].values(), found["users_path"], found["jwks_path"]]
    return policy_text(filter(None, read), found["issue_path"])


def eviction_rules(settings: Settings) -> str:
    """Write rules that look at allocations, end them so that Nomad places new ones, and read their logs."""
    return (
        f"namespace {json.dumps(settings.registry.namespace)} {{\n"
        '  capabilities = ["read-job", "read-logs", "alloc-lifecycle"]\n'
        "}\n"
    )
