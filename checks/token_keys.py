"""Whether the registry knows the keys that Vault signs its tokens with."""

from checks.errors import AnswerError, CheckError
from checks.job_run import JobRun
from checks.servers import Server
from config.settings import Settings
from jobs.token_keys import PATH_VARIABLE, TASK

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


def refill_keys(nomad: Server, settings: Settings, path: str) -> None:
    """Fill a secret (KV v2 API path) that took the place of the one that the job fills. Raises CheckError.

    One at another path waits for the job that gets that path, and a stack's first one for its first job.
    """
    try:
        job = nomad.get(f"/v1/job/{settings.keys_job}", namespace=settings.registry.namespace)
    except AnswerError as error:
        if error.status != 404:
            raise
        return
    tasks = [task for group in job["TaskGroups"] for task in group["Tasks"]]
    if not job["Stop"] and path in [task["Env"][PATH_VARIABLE] for task in tasks]:
        refresh_keys(nomad, settings)
