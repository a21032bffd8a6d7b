"""The job that looks for vulnerabilities and secrets in the images."""

from dataclasses import dataclass

import pulumi
import pulumi_nomad as nomad

from components.certificates import consul_ca
from components.kept_check import kept_check
from config.settings import Settings
from jobs.nomad import render
from jobs.scan import scan_job, scan_service


@dataclass(frozen=True, kw_only=True)
class ScanArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str]


class Scan(pulumi.ComponentResource):
    """Scans the newest images by a schedule and keeps a check in Consul.

    Produces: a periodic Job; a command that takes the check out of Consul in the end.
    """

    job_id: pulumi.Output[str]

    def __init__(self, name: str, args: ScanArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:Scan", name, None, opts)
        settings, ca = args.settings, consul_ca(args.settings)
        check = kept_check(f"{name}-check", settings, service=scan_service(settings), parent=self)
        self.job_id = nomad.Job(
            f"{name}-job",
            jobspec=pulumi.Output.from_input(args.volume_source).apply(
                lambda source: render(scan_job(settings, volume_source=source, consul_ca=ca))
            ),
            json=True,
            purge_on_destroy=True,
            rerun_if_dead=True,
            # The job goes first: one that still ran would put the check there again.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[check]),
        ).name
        self.register_outputs({"jobId": self.job_id})
