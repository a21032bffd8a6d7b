"""The Nomad job of the exporter: metrics that the registry does not have itself."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from config.settings import Settings
from jobs import nomad
from jobs.backup import drill_service, longest_gap
from jobs.duration import Duration
from jobs.maintenance import owner_of
from jobs.mirrors import cache_request
from jobs.registry import volume_request
from jobs.scan import scan_service
from jobs.script_task import script_task

GROUP = TASK = "exporter"
_PORT = "metrics"
_VOLUMES = "/volumes"


def exporter_job(
    settings: Settings,
    *,
    volume_source: str | None,
    cache_source: str | None,
    consul_ca: str | None,
    host_network: str | None,
) -> nomad.Job:
    """Make the job. It is a job of its own, so that the registry does not restart for it.

    `cache_source` is the source of the volume with what the mirrors cache, if there are any.
    `consul_ca` is the text of the certificates that Consul's is checked against.

    The port listens where the registry's do: on the address of `host_network`, or of the node's default
    network.
    """
    monitoring, registry = settings.monitoring, settings.registry
    assert monitoring is not None  # noqa: S101 - for the type checker; without it there is no such job
    port = nomad.Port(label=_PORT, value=monitoring.port, to=monitoring.port, host_network=host_network)
    volumes = _volumes(settings, volume_source, cache_source)
    return nomad.Job(
        id=settings.exporter_job,
        name=settings.exporter_job,
        namespace=registry.namespace,
        type="service",
        datacenters=registry.datacenters,
        task_groups=(
            nomad.TaskGroup(
                name=GROUP,
                count=1,
                networks=(nomad.Network(ports=(port,)),),
                services=(_service(settings),),
                volumes=volumes or None,
                # It ends only if it cannot begin: then it tries again for as long as it takes.
                restart_policy=nomad.Restart(
                    attempts=3, interval=Duration.minutes(2), delay=Duration.seconds(10), mode="delay"
                ),
                update=nomad.Update(
                    max_parallel=1,
                    canary=0,  # the port is taken
                    health_check="checks",
                    min_healthy_time=Duration.seconds(1),
                    healthy_deadline=Duration.minutes(5),
                    progress_deadline=Duration.minutes(10),
                    auto_revert=True,
                ),
                tasks=(_task(settings, volumes, consul_ca),),
            ),
        ),
    )


def _task(
    settings: Settings, volumes: Mapping[str, nomad.VolumeRequest], consul_ca: str | None
) -> nomad.Task:
    mounts = {name: f"{_VOLUMES}/{name}" for name in volumes}
    made = script_task(
        TASK,
        settings,
        user=owner_of(settings),  # who may look at the volumes
        env={
            "REGISTRY_JOB": settings.registry.name,
            "REGISTRY_TLS": "true" if settings.tls.mode == "registry" else "false",
            "CERTIFICATES": " ".join(_certificates(settings)),
            "VOLUMES": json.dumps(mounts),
            "RUNS": json.dumps(dict(_runs(settings))),
            "CONSUL_ADDRESS": settings.providers.consul.address,
        },
        volume_mounts=tuple(
            nomad.VolumeMount(volume=name, destination=path, read_only=True) for name, path in mounts.items()
        ),
        nomad_api=True,
        consul_ca=consul_ca,
    )
    return replace(made, config=replace(made.config, pids_limit=64))  # a thread for each part of a scrape


def _service(settings: Settings) -> nomad.Service:
    return nomad.Service(
        name=settings.exporter_service,
        port=_PORT,
        tags=("traefik.enable=false",),  # Traefik routes a service without tags too, by its name
        checks=(
            nomad.Check(
                name="exporter",
                type="http",
                path="/",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(2),
                failures_before_critical=3,  # on a busy machine one comes late now and then
            ),
        ),
    )


def _volumes(
    settings: Settings, volume_source: str | None, cache_source: str | None
) -> dict[str, nomad.VolumeRequest]:
    """Ask for the volumes whose room is measured; all are on the machine with the images."""
    volumes = {settings.volume: volume_request(settings, volume_source)} if volume_source else {}
    if volume := settings.backup_volume:
        volumes[volume] = nomad.VolumeRequest(name=volume, source=volume)
    if cache_source:
        volumes |= cache_request(settings, cache_source)
    return volumes


def _certificates(settings: Settings) -> Iterator[str]:
    """Give each address at which clients are shown a certificate, as host:port."""
    if settings.tls.mode == "registry" and not settings.registry.is_shared:
        yield settings.registry_address
    if settings.tls.mode != "plain":
        yield f"{settings.registry.hostname}:{settings.tls.port}"


def _runs(settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Give each kind of maintenance: its job, and the seconds in which it has to go well once.

    One with a service says by a check in Consul how it went, the others by their Nomad variables.
    """
    maintenance = settings.maintenance

    def run(kind: str, schedule: str, service: str | None = None) -> tuple[str, Mapping[str, object]]:
        job = {"job": settings.maintenance_job(kind), "seconds": longest_gap(schedule) * 86_400}
        return kind, {**job, "service": service} if service else job

    if collection := maintenance.garbage_collection:
        yield run("gc", collection.schedule)
    if backup := maintenance.backup:
        yield run("backup", backup.schedule)
        yield run("drill", backup.drill, drill_service(settings))
    if scan := maintenance.scan:
        yield run("scan", scan.schedule, scan_service(settings))
