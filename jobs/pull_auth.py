"""The Nomad job that keeps the file fresh by which Nomad's clients pull private images."""

from config.settings import Settings
from jobs import nomad
from jobs.duration import Duration
from jobs.script_task import script_task
from jobs.vault_login import VaultLogin

GROUP = "pull"
DIRECTORY, FILE = "/auth", "/auth/config.json"


def pull_auth_job(
    settings: Settings, *, token_path: str, approle: str | None, login: VaultLogin, vault_ca: str | None
) -> nomad.Job:
    """Make the job: one task on each client that offers the volume of `auth.nodes`.

    `token_path` is where Vault signs the token; `approle` the AppRole to log in to for it, if Nomad's own
    token has no entity.
    """
    nodes = settings.auth.nodes
    assert nodes is not None  # noqa: S101 - for the type checker; without nodes there is no such job
    return nomad.Job(
        id=settings.pull_job,
        name=settings.pull_job,
        namespace=settings.registry.namespace,
        type="system",
        datacenters=("*",),  # the registry's clients are everywhere
        task_groups=(
            nomad.TaskGroup(
                name=GROUP,
                count=1,
                volumes={nodes.volume: nomad.VolumeRequest(name=nodes.volume, source=nodes.volume)},
                # For ever: nothing else would start it again on its client.
                restart_policy=nomad.Restart(
                    attempts=2, interval=Duration.minutes(2), delay=Duration.seconds(15), mode="delay"
                ),
                tasks=(
                    script_task(
                        "refresh_pull_auth",
                        settings,
                        # Nomad, which is root, reads the file; without capabilities root is a user like any.
                        user="0:0",
                        env={
                            "TOKEN_PATH": token_path,
                            "ADDRESSES": " ".join(settings.client_addresses),
                            "AUTH_FILE": FILE,
                            **({"APPROLE": approle} if approle else {}),
                        },
                        login=login,
                        vault_ca=vault_ca,
                        volume_mounts=(nomad.VolumeMount(volume=nodes.volume, destination=DIRECTORY),),
                    ),
                ),
            ),
        ),
    )
