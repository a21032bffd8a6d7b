"""The jobs that remove the tags that no rule keeps."""

from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_nomad as nomad

from components.freeze_policy import freeze_policy
from config.settings import Settings
from jobs.nomad import Job, render
from jobs.retention import apply_job, plan_job


@dataclass(frozen=True, kw_only=True)
class RetentionArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str]
    nomad_acl: bool  # whether Nomad asks for rights


class Retention(pulumi.ComponentResource):
    """Lets retention be looked at and carried out by hand; by schedule it runs within the garbage collection.

    Produces: a parameterized Job that only tells what would go; one that removes it; on Nomad with ACLs an
    AclPolicy.
    """

    job_id: pulumi.Output[str]

    def __init__(self, name: str, args: RetentionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:Retention", name, None, opts)
        settings = args.settings
        rights: list[pulumi.Resource] = []
        if args.nomad_acl:
            job_id = settings.maintenance_job("retention-apply")
            rights.append(freeze_policy(f"{name}-freeze", settings, job=job_id, parent=self))

        def job(title: str, make: Callable[..., Job]) -> nomad.Job:
            return nomad.Job(
                f"{name}-{title}",
                jobspec=pulumi.Output.from_input(args.volume_source).apply(
                    lambda source: render(make(settings, volume_source=source))
                ),
                json=True,
                purge_on_destroy=True,
                rerun_if_dead=True,
                opts=pulumi.ResourceOptions(parent=self, depends_on=rights),
            )

        self.job_id = job("plan", plan_job).name
        job("apply", apply_job)
        self.register_outputs({"jobId": self.job_id})
