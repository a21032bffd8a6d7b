"""Whether the registry knows the keys that Vault signs its tokens with."""

from checks.errors import CheckError
from checks.job_run import JobRun
from checks.servers import Server
from config.settings import Settings
from jobs.token_keys import TASK

_PATIENCE_SECONDS = 180  # an image may have to be pulled


def refresh_keys(nomad: Server, settings: Settings) -> str:
    """Copy Vault's keys to where the registry reads them, now; say what was done. Raises CheckError."""
    if settings.auth.mode != "vault":
        raise CheckError(
            f"docker-registry:auth.mode is {settings.auth.mode}, which needs no keys of Vault's: "
            "there is nothing to refresh"
        )
    run = JobRun.forced(nomad, settings.keys_job, settings.registry.namespace)
    lines = run.output(TASK, patience=_PATIENCE_SECONDS).splitlines()
    return lines[-1] if lines else ""
