"""The Nomad job that keeps the key set current by which the registry verifies Vault's tokens."""

from config.settings import Settings
from jobs import nomad
from jobs.duration import Duration
from jobs.script_task import script_task
from jobs.vault_login import VaultLogin

GROUP = "keys"
_SCRIPT = "refresh_jwks"
TASK = "refresh-jwks"  # which runs it, and whose output `python -m ops` reads
PATH_VARIABLE = "JWKS_PATH"
NOBODY = "65534:65534"


def token_keys_job(
    settings: Settings, *, jwks_path: str, login: VaultLogin, vault_ca: str | None
) -> nomad.Job:
    """Make the job; `jwks_path` is the KV v2 API path of the secret with the key set."""
    return nomad.Job(
        id=settings.keys_job,
        name=settings.keys_job,
        namespace=settings.registry.namespace,
        type="batch",
        datacenters=settings.registry.datacenters,
        # Daily is enough (jobs/tasks/refresh_jwks.py says why), at a minute at which little else starts.
        periodic=nomad.Periodic(spec="43 5 * * *", prohibit_overlap=True, time_zone="UTC"),
        task_groups=(
            nomad.TaskGroup(
                name=GROUP,
                count=1,
                # The script itself tries again; a run that failed ends, so that its reason is seen at once.
                restart_policy=nomad.Restart(
                    attempts=0, interval=Duration.minutes(1), delay=Duration.seconds(1), mode="fail"
                ),
                reschedule_policy=nomad.Reschedule(attempts=0, unlimited=False),
                tasks=(
                    script_task(
                        _SCRIPT,
                        settings,
                        user=NOBODY,
                        env={PATH_VARIABLE: jwks_path},
                        login=login,
                        vault_ca=vault_ca,
                    ),
                ),
            ),
        ),
    )
