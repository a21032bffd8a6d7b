"""Whether Nomad has the job that the stack's settings describe."""

from checks.dead_jobs import as_started
from checks.errors import AnswerError
from checks.job_plan import job_plan
from checks.network import host_network
from checks.servers import Server
from config.settings import Settings
from jobs.nomad import Job, to_api
from jobs.registry import VaultGrant, registry_job


def wanted_job(settings: Settings, host_network: str | None = None) -> Job:
    """Make the job that `pulumi up` would submit; the components' outputs are names out of the settings."""
    name = settings.registry.name
    grant = VaultGrant(
        policy=name,
        role=name if settings.vault.identity == "workload" else None,
        paths={key: path for key, path in settings.secret_paths.items() if key != "jwks"},
        issue_path=settings.issue_path,
    )
    return registry_job(
        settings,
        volume_source=settings.mounted_volume,
        service=settings.registry.service,
        grant=grant,
        jwks_path=settings.secret_paths.get("jwks"),
        host_network=host_network,
    )


def is_deployed(nomad: Server, settings: Settings) -> bool | None:
    """Let Nomad compare the stack's job with the one that it has; a plan changes nothing.

    None if the token may not plan. A job that Nomad refuses counts as another job.
    """
    try:
        wanted = to_api(wanted_job(settings, host_network(nomad, settings)))
        plan = job_plan(nomad, as_started(nomad, wanted))
    except AnswerError as error:
        return None if error.status == 403 else False
    unchanged: bool = plan["Diff"]["Type"] == "None"
    return unchanged
