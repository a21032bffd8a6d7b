"""The registry as a Nomad job."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_nomad as nomad

from config.settings import Settings
from jobs.nomad import render
from jobs.registry import VaultGrant, registry_job

# Nomad gives up after the job's healthy_deadline (5 minutes); the provider must still be there to say so.
_DEPLOY_MINUTES = 15
# One instance after the other ends, with shutdown_delay and draintimeout, and starts.
_MINUTES_PER_INSTANCE = 2


@dataclass(frozen=True, kw_only=True)
class RegistryJobArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str] | None  # None: the images are on no volume
    service: pulumi.Input[str]
    grant: pulumi.Input[VaultGrant]
    jwks_path: pulumi.Input[str] | None = None  # keys of clients' tokens in Vault, once they are there
    host_network: str | None = None  # Nomad host network on which the ports listen; the node's default one
    before_deploy: Sequence[pulumi.ResourceHook] = ()  # checks that must pass before Nomad is given the job


class RegistryJob(pulumi.ComponentResource):
    """Runs the registry and waits until it is healthy.

    Produces: a Job. Its jobspec is complete at preview: every input passes through.
    """

    job_id: pulumi.Output[str]

    def __init__(self, name: str, args: RegistryJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:RegistryJob", name, None, opts)
        jobspec = pulumi.Output.all(
            volume_source=args.volume_source,
            service=args.service,
            grant=args.grant,
            jwks_path=args.jwks_path,
        ).apply(lambda values: render(registry_job(args.settings, host_network=args.host_network, **values)))
        registry = args.settings.registry
        instances = registry.scaling.max if registry.scaling else registry.count
        timeout = f"{_DEPLOY_MINUTES + _MINUTES_PER_INSTANCE * (instances - 1)}m"
        hooks: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = list(args.before_deploy)
        job = nomad.Job(
            f"{name}-job",
            jobspec=jobspec,
            json=True,
            detach=False,  # by default the provider returns before the job is healthy
            purge_on_destroy=True,  # a dead job would keep its versions, and with them old settings
            rerun_if_dead=True,  # a registry is meant to run always
            preserve_counts=True if registry.scaling else None,  # the autoscaler's choice stays
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
                hooks=pulumi.ResourceHookBinding(before_create=hooks, before_update=hooks),
            ),
        )
        self.job_id = job.name
        self.register_outputs({"jobId": self.job_id})
