"""Whether Nomad has the job that the stack's settings describe."""

from checks.errors import AnswerError
from checks.servers import Server
from config.settings import Settings
from jobs.nomad import Job, to_api
from jobs.registry import VaultGrant, registry_job


def wanted_job(settings: Settings) -> Job:
    """Make the job that `pulumi up` would submit; the components' outputs are names out of the settings."""
    name, secrets = settings.registry.name, f"{settings.vault.mount}/data/{settings.registry.name}"
    grant = VaultGrant(
        policy=name,
        role=name if settings.vault.identity == "workload" else None,
        http_path=f"{secrets}/http",
        users_path=f"{secrets}/users",
        config_path=f"{secrets}/config" if settings.config_secrets else None,
    )
    return registry_job(
        settings, volume_source=settings.volume, service=settings.registry.service, grant=grant
    )


def is_deployed(nomad: Server, settings: Settings) -> bool:
    """Let Nomad compare the stack's job with the one that it has; a plan changes nothing.

    A token that may not plan, or a job that Nomad refuses, counts as another job.
    """
    registry = settings.registry
    request = {"Job": to_api(wanted_job(settings)), "Diff": True}
    try:
        plan = nomad.post(f"/v1/job/{registry.name}/plan", request, namespace=registry.namespace)
    except AnswerError:
        return False
    unchanged: bool = plan["Diff"]["Type"] == "None"
    return unchanged
