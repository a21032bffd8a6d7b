"""What lets Prometheus, Grafana and a log collector watch the registry."""

import json
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

import pulumi
import pulumi_command as command
import pulumi_nomad as nomad

from components.certificates import consul_ca
from config.settings import Settings
from jobs.exporter import exporter_job
from jobs.nomad import render
from jobs.tasks.freeze_record import freeze_variable
from monitoring.files import monitoring_files

_DEPLOY_TIMEOUT = "15m"  # Nomad gives up after the job's healthy_deadline (5 minutes)
# Standard input has the text of each file, by its path.
_WRITE = """
import json, pathlib, sys
for name, text in json.load(sys.stdin).items():
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
"""
_REMOVE = """
import json, pathlib, sys
for name in json.load(sys.stdin):
    pathlib.Path(name).unlink(missing_ok=True)
"""


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str] | None = None  # of the volume with the images; none with a bucket
    cache_source: pulumi.Input[str] | None = None  # of the volume with what the mirrors cache, if any
    nomad_acl: bool  # whether Nomad asks for rights
    host_network: str | None = None  # Nomad host network on which the port listens; the node's default one


class Monitoring(pulumi.ComponentResource):
    """Runs the exporter, and keeps the files for Prometheus and Grafana if the stack says where.

    Produces: a Job; on Nomad with ACLs an AclPolicy by which it looks at the registry and at how the
    maintenance went; with `monitoring.directory` a command that writes the files, and removes them in the
    end.
    """

    files: list[str]
    """Paths of the files on the machine that runs `pulumi`; none without `monitoring.directory`."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:Monitoring", name, None, opts)
        settings, ca = args.settings, consul_ca(args.settings)
        rights = [self._policy(name, settings)] if args.nomad_acl else []
        nomad.Job(
            f"{name}-exporter",
            jobspec=pulumi.Output.all(volume_source=args.volume_source, cache_source=args.cache_source).apply(
                lambda sources: render(
                    exporter_job(settings, **sources, consul_ca=ca, host_network=args.host_network)
                )
            ),
            json=True,
            detach=False,
            purge_on_destroy=True,
            rerun_if_dead=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=rights,
                custom_timeouts=pulumi.CustomTimeouts(create=_DEPLOY_TIMEOUT, update=_DEPLOY_TIMEOUT),
            ),
        )
        directory = settings.monitoring.directory if settings.monitoring else None
        self.files = self._written(name, settings, directory) if directory else []
        self.register_outputs({"files": self.files})

    def _policy(self, name: str, settings: Settings) -> nomad.AclPolicy:
        return nomad.AclPolicy(
            f"{name}-policy",
            name=settings.exporter_job,
            description=f"Lets job {settings.exporter_job} look at {settings.registry.name}",
            rules_hcl=rules(settings),
            job_acl=nomad.AclPolicyJobAclArgs(
                namespace=settings.registry.namespace, job_id=settings.exporter_job
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _written(self, name: str, settings: Settings, directory: PurePosixPath) -> list[str]:
        texts = {str(directory / file): text for file, text in monitoring_files(settings).items()}
        command.local.Command(
            f"{name}-files",
            create=f"python3 -c {shlex.quote(_WRITE)}",
            delete=f"python3 -c {shlex.quote(_REMOVE)}",
            stdin=json.dumps(texts, sort_keys=True),
            # Another directory is another command: the old files go.
            triggers=[str(directory)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return sorted(texts)


def rules(settings: Settings) -> str:
    """Write rules that look at jobs and allocations, and read how maintenance that has no check went."""
    registry = settings.registry
    variables = [settings.maintenance_job(kind) for kind in ("gc", "backup")]
    paths = "".join(
        f'    path {json.dumps(freeze_variable(each))} {{\n      capabilities = ["read"]\n    }}\n'
        for each in variables
    )
    return (
        f"namespace {json.dumps(registry.namespace)} {{\n"
        '  capabilities = ["read-job"]\n'
        f"  variables {{\n{paths}  }}\n"
        "}\n"
    )
