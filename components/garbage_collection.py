"""The jobs that remove what no image uses any more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_nomad as nomad
import pulumi_vault as vault

from components.freeze_policy import freeze_policy
from components.vault_access import policy_text
from components.workload_role import role_of_job
from config.settings import Settings
from jobs.garbage_collection import collection_job, prediction_job, reads_secrets
from jobs.nomad import Job, Task, render
from jobs.registry import VaultGrant
from jobs.vault_login import VaultLogin


@dataclass(frozen=True, kw_only=True)
class GarbageCollectionArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str] | None  # None: the images are on no volume
    grant: pulumi.Input[VaultGrant]  # the registry's: where its secrets are
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity
    nomad_acl: bool  # whether Nomad asks for rights
    before: tuple[Task, ...] = ()  # what runs frozen and before the collection


class GarbageCollection(pulumi.ComponentResource):
    """Runs the registry's garbage collection by a schedule, and lets it be tried by hand.

    Produces: a periodic Job; a parameterized Job that only tells what the first would free; on Nomad with
    ACLs an AclPolicy. If the store or its cache has secrets, as S3 and Redis have: a Policy that reads
    them, and with identity `workload` an AuthBackendRole for each job.
    """

    job_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: GarbageCollectionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("homelab:registry:GarbageCollection", name, None, opts)
        settings, child = args.settings, pulumi.ResourceOptions(parent=self)
        collect, predict = settings.maintenance_job("gc"), settings.maintenance_job("gc-dry-run")
        rights: list[pulumi.Resource] = []
        if args.nomad_acl:
            rights.append(freeze_policy(f"{name}-freeze", settings, job=collect, parent=self))
        config_path: pulumi.Output[str] | None = None
        policy: pulumi.Output[str] | None = None
        if reads_secrets(settings):
            config_path = pulumi.Output.from_input(args.grant).apply(lambda grant: grant.paths["config"])
            text = config_path.apply(lambda path: policy_text([path], None))
            policy = vault.Policy(f"{name}-policy", name=collect, policy=text, opts=child).name

        def job(title: str, job_id: str, make: Callable[..., Job]) -> nomad.Job:
            role = None
            if policy is not None:
                role = role_of_job(
                    f"{name}-{title}-role",
                    settings,
                    backend=args.login_backend,
                    job=job_id,
                    policies=[policy],
                    parent=self,
                )
            known = pulumi.Output.all(
                volume_source=args.volume_source,
                config_path=config_path,
                login=pulumi.Output.all(policy=policy, role=role).apply(_login),
            )
            return nomad.Job(
                f"{name}-{title}",
                jobspec=known.apply(lambda values: render(make(settings, **values))),
                json=True,
                purge_on_destroy=True,
                rerun_if_dead=True,
                opts=pulumi.ResourceOptions(parent=self, depends_on=rights),
            )

        self.job_id = job("job", collect, partial(collection_job, before=args.before)).name
        job("dry-run", predict, prediction_job)
        self.register_outputs({"jobId": self.job_id})


def _login(known: Mapping[str, str | None]) -> VaultLogin | None:
    """Log in only where there is something to read."""
    return VaultLogin(policy=known["policy"], role=known["role"]) if known["policy"] else None
