"""What every maintenance job of the registry has in common: the freeze around its work, one run at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from config.settings import Settings
from jobs import nomad
from jobs.duration import Duration
from jobs.registry import DATA_DIRECTORY
from jobs.script_task import script_task

PRESTART, POSTSTOP = nomad.Lifecycle(hook="prestart"), nomad.Lifecycle(hook="poststop")


def maintenance_job(
    settings: Settings,
    job: str,
    *,
    tasks: tuple[nomad.Task, ...],
    volumes: Mapping[str, nomad.VolumeRequest],
    schedule: str | None,
) -> nomad.Job:
    """Make a batch job that runs by `schedule` (cron), or without one each time that it is dispatched.

    A run that failed is not tried again: the next one is, and the reason is seen at once. If it froze the
    registry, one more allocation ends the freeze (jobs/tasks/freeze.py).
    """
    recovers = any(task.name == "freeze" for task in tasks)
    group = nomad.TaskGroup(
        name=job.removeprefix(f"{settings.registry.name}-"),
        count=1,
        volumes=volumes or None,
        restart_policy=nomad.Restart(
            attempts=0, interval=Duration.minutes(1), delay=Duration.seconds(1), mode="fail"
        ),
        reschedule_policy=nomad.Reschedule(
            attempts=1 if recovers else 0,
            interval=Duration.minutes(24 * 60),
            delay=Duration.seconds(5),  # Nomad's least
            delay_function="constant",
            unlimited=False,
        ),
        tasks=tasks,
    )
    zone = settings.maintenance.time_zone
    return nomad.Job(
        id=job,
        name=job,
        namespace=settings.registry.namespace,
        type="batch",
        datacenters=settings.registry.datacenters,
        periodic=nomad.Periodic(spec=schedule, prohibit_overlap=True, time_zone=zone) if schedule else None,
        parameterized=None if schedule else nomad.Parameterized(),
        task_groups=(group,),
    )


def frozen(
    settings: Settings,
    main: nomad.Task,
    *,
    check: nomad.Task | None = None,
    before: tuple[nomad.Task, ...] = (),
    measure: bool = False,
) -> tuple[nomad.Task, ...]:
    """Put the freeze around a task: the registry is read-only while it runs, and writable again afterwards.

    The tasks in `before` run one after the other and before `main`. Nomad starts them beside freeze, so each
    waits for the one before it (jobs/tasks/frozen.py); freeze itself waits for `check`. With `measure` the
    run's last line tells what it freed; then the group needs the volume with the images.
    """
    freeze = _freeze_task(
        settings,
        "freeze",
        PRESTART,
        measure,
        env={
            "SHARES_VOLUME": "true" if _is_on_volume(main, settings) else "false",
            **({"AFTER": check.name} if check else {}),
        },
    )
    # It starts when Vault gives it a token, as main needs one: the registry is not to be read-only while
    # main waits for a Vault that is sealed. Neither file nor environment gives that token to freeze.
    vault = replace(main.vault, env=False, disable_file=True) if main.vault else None
    return (
        *((replace(check, lifecycle=PRESTART),) if check else ()),
        replace(freeze, vault=vault, identities=main.identities),
        *_in_order(before),
        main,
        _freeze_task(settings, "thaw", POSTSTOP, measure),
    )


def owner_of(settings: Settings) -> str:
    """The volume's owner, as whom tasks read and write it."""
    return f"{settings.storage.owner.uid}:{settings.storage.owner.gid}"


def data_mount(settings: Settings, *, read_only: bool) -> nomad.VolumeMount:
    """Mount the volume with the images where the registry has it."""
    return nomad.VolumeMount(volume=settings.volume, destination=DATA_DIRECTORY, read_only=read_only)


def _in_order(tasks: tuple[nomad.Task, ...]) -> Iterator[nomad.Task]:
    """Let each task but the first wait for the one before it, which marks its end by its name."""
    for number, task in enumerate(tasks):
        after = {"AFTER": tasks[number - 1].name} if number else {}
        yield replace(task, lifecycle=PRESTART, env={**(task.env or {}), **after})


def _is_on_volume(task: nomad.Task, settings: Settings) -> bool:
    """Whether the task works on the volume, which is where the registry runs."""
    return any(mount.volume == settings.volume for mount in task.volume_mounts)


def _freeze_task(
    settings: Settings,
    script: str,
    lifecycle: nomad.Lifecycle,
    measure: bool,
    env: Mapping[str, str] | None = None,
) -> nomad.Task:
    return script_task(
        script,
        settings,
        user=owner_of(settings),
        env={
            "REGISTRY_JOB": settings.registry.name,
            "REGISTRY_TLS": "true" if settings.tls.mode == "registry" else "false",
            # Where clients reach it through Traefik.
            **(
                {"ROUTE": f"{settings.registry.hostname}:{settings.tls.port}"}
                if settings.tls.mode != "plain"
                else {}
            ),
            **({"STORE": DATA_DIRECTORY} if measure else {}),
            **(env or {}),
        },
        volume_mounts=(data_mount(settings, read_only=True),) if measure else (),
        lifecycle=lifecycle,
        nomad_api=True,
    )
