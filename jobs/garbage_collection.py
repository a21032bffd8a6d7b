"""The Nomad jobs that remove what no image uses any more: one does it, one says what that would free."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config import registry as registry_model
from config.settings import Settings
from jobs import nomad
from jobs.config_template import config_template
from jobs.maintenance import POSTSTOP, PRESTART, data_mount, frozen, maintenance_job, owner_of
from jobs.registry import DATA_DIRECTORY, volume_request
from jobs.script_task import script_task
from jobs.vault_login import VaultLogin

TASK = "collect"
_CONFIG_FILE, _OUTPUT_FILE = "/secrets/config.yml", "/alloc/data/collection.txt"
# Into a file as well: of a task that writes fast and ends, Nomad's log lacks the last lines.
_SHELL = ("/bin/sh", "-c", f'set -o pipefail; registry "$@" | tee {_OUTPUT_FILE}', "registry")
# The store with the directories that it lacks, for a dry run (jobs/tasks/prepare_collection.py).
_SHADOW = "/alloc/data/store"
_PREPARE_MEMORY = 256  # MiB; every manifest of the store is in memory, some 2 KiB each
_CPU, _MEMORY = 500, 512  # MHz and MiB; it keeps the digests of the whole store in memory
# Of the storage section: the rest is about serving.
_NOT_FOR_STORE = frozenset({"cache", "maintenance", "redirect", "tag"})


def collection_job(
    settings: Settings,
    *,
    volume_source: str | None,
    config_path: str | None,
    login: VaultLogin | None,
    before: tuple[nomad.Task, ...] = (),
) -> nomad.Job:
    """Make the periodic job; the tasks in `before` run frozen and before the collection.

    `volume_source` is for images on the volume. `config_path` is where the secrets of the storage section and
    of Redis are (KV v2 API), `login` what may read them.
    """
    collection = settings.maintenance.garbage_collection
    assert collection is not None  # noqa: S101 - for the type checker; without it there is no such job
    main = _collect_task(settings, config_path=config_path, login=login, dry_run=False)
    return maintenance_job(
        settings,
        settings.maintenance_job("gc"),
        tasks=frozen(
            settings,
            main,
            check=_look(settings),
            before=(
                *_empty_cache(settings, config_path, login),
                *before,
                *_prepare(settings, dry_run=False),
            ),
            measure=settings.on_volume,
        ),
        volumes=_volumes(settings, volume_source),
        schedule=collection.schedule,
    )


def prediction_job(
    settings: Settings, *, volume_source: str | None, config_path: str | None, login: VaultLogin | None
) -> nomad.Job:
    """Make the job that is dispatched for a dry run. It changes nothing, so it freezes nothing."""
    on_volume = settings.on_volume
    predict = script_task(
        "predict_collection",
        settings,
        user=owner_of(settings),
        env={"OUTPUT": _OUTPUT_FILE, **({"STORE": DATA_DIRECTORY} if on_volume else {})},
        volume_mounts=(data_mount(settings, read_only=True),) if on_volume else (),
        lifecycle=POSTSTOP,
    )
    return maintenance_job(
        settings,
        settings.maintenance_job("gc-dry-run"),
        tasks=(
            *(replace(task, lifecycle=PRESTART) for task in _prepare(settings, dry_run=True)),
            _collect_task(settings, config_path=config_path, login=login, dry_run=True),
            predict,
        ),
        volumes=_volumes(settings, volume_source),
        schedule=None,
    )


def reads_secrets(settings: Settings) -> bool:
    """Whether a collection needs secrets: the keys of a bucket, or the password of a Redis."""
    redis = settings.registry.redis
    return any(path.startswith("storage.") for path in settings.config_secrets) or bool(
        redis and redis.password
    )


def store_config(settings: Settings) -> Mapping[str, Any]:
    """Give the part of config.yml that garbage-collect reads (distribution, registry/root.go)."""
    config = settings.registry_config
    storage = {key: value for key, value in config["storage"].items() if key not in _NOT_FOR_STORE}
    return {"version": config["version"], "log": {"level": "warn"}, "storage": storage}


def _volumes(settings: Settings, source: str | None) -> dict[str, nomad.VolumeRequest]:
    return {settings.volume: volume_request(settings, source)} if settings.on_volume and source else {}


def _empty_cache(
    settings: Settings, config_path: str | None, login: VaultLogin | None
) -> tuple[nomad.Task, ...]:
    """Let a Redis forget what is there: a collection removes some of it, and no restart empties Redis."""
    redis, owner = settings.registry.redis, settings.storage.owner
    if redis is None:
        return ()
    made = script_task(
        "empty_cache",
        settings,
        user=owner_of(settings),
        env={
            "REDIS_ADDRESS": redis.address,
            "REDIS_DATABASE": str(settings.registry_config["redis"].get("db", 0)),
        },
    )
    if not redis.password or not config_path or not login:
        return (made,)
    password = nomad.Template(
        data=f'{{{{ with secret "{config_path}" }}}}{{{{ index .Data.data "redis.password" }}}}{{{{ end }}}}',
        destination="secrets/redis-password",
        change_mode="noop",  # it is read once
        perms="0400",
        uid=owner.uid,
        gid=owner.gid,
    )
    return (
        replace(
            made,
            templates=(*made.templates, password),
            vault=login.vault(token_file=False),
            identities=login.identities(settings),
        ),
    )


def _look(settings: Settings) -> nomad.Task | None:
    """Give what looks through the store before the freeze, where the images are on the volume."""
    return _store_task("check_collection", settings, read_only=True) if settings.on_volume else None


def _prepare(settings: Settings, *, dry_run: bool) -> tuple[nomad.Task, ...]:
    """Give what comes before the collection where the images are on the volume."""
    if not settings.on_volume:
        return ()
    made = _store_task("prepare_collection", settings, read_only=dry_run)
    return (replace(made, env={**(made.env or {}), "SHADOW": _SHADOW}) if dry_run else made,)


def _store_task(script: str, settings: Settings, *, read_only: bool) -> nomad.Task:
    made = script_task(
        script,
        settings,
        user=owner_of(settings),
        env={
            "STORE": DATA_DIRECTORY,
            "VERSION": settings.registry_version.value,
            "DELETE_UNTAGGED": "true" if _deletes_untagged(settings) else "false",
        },
        volume_mounts=(data_mount(settings, read_only=read_only),),
    )
    return replace(
        made,
        config=replace(made.config, network_mode="none"),  # all it needs is on the volume
        resources=nomad.Resources(cpu=made.resources.cpu, memory=_PREPARE_MEMORY),
    )


def _deletes_untagged(settings: Settings) -> bool:
    collection = settings.maintenance.garbage_collection
    return bool(collection and collection.delete_untagged)


def _collect_task(
    settings: Settings, *, config_path: str | None, login: VaultLogin | None, dry_run: bool
) -> nomad.Task:
    owner = settings.storage.owner
    flags = (
        *(("--delete-untagged",) if _deletes_untagged(settings) else ()),
        *(("--dry-run",) if dry_run else ()),
    )
    on_volume, config = settings.on_volume, store_config(settings)
    if on_volume and dry_run:
        shadow = {"storage": {"filesystem": {"rootdirectory": _SHADOW}}}
        config = registry_model.merge(config, shadow)
    return nomad.Task(
        name=TASK,
        user=owner_of(settings),
        config=nomad.DockerConfig(
            image=settings.registry.image,
            entrypoint=_SHELL if dry_run else None,
            args=("garbage-collect", *flags, _CONFIG_FILE),
            network_mode="none" if on_volume else None,  # a bucket is reached by the network
            cap_drop=("all",),
            security_opt=("no-new-privileges",),
            readonly_rootfs=True,
            pids_limit=256,  # Go threads only; a bound against fork bombs
        ),
        env={"OTEL_TRACES_EXPORTER": "none"},  # 3.x would send traces to localhost (distribution #4270)
        identities=login.identities(settings) if login else None,
        resources=nomad.Resources(cpu=_CPU, memory=_MEMORY),
        templates=(
            nomad.Template(
                data=config_template(config, config_path=config_path),
                destination=_CONFIG_FILE.lstrip("/"),
                change_mode="noop",  # it is read once
                perms="0400",
                uid=owner.uid,
                gid=owner.gid,
            ),
        ),
        vault=login.vault(token_file=False) if login else None,
        volume_mounts=(data_mount(settings, read_only=dry_run),) if on_volume else (),
    )
