"""The registry's Nomad job, whose configuration and secrets are rendered at run time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from config import registry as registry_model
from config.sections.registry import Registry
from config.settings import Settings
from jobs import nomad
from jobs.autoscaling import autoscaling
from jobs.config_template import config_template
from jobs.duration import Duration
from jobs.registry_server import (
    CONFIG_FILE,
    DEBUG_PORT,
    REGISTRY_PORT,
    access_config,
    auth_files,
    certificate_file,
    longest_restart,
    metrics_service,
    secret_file,
    server_check,
    server_group,
    server_task,
)
from jobs.tasks.freeze_record import freeze_variable
from jobs.tasks.registry_mode import TASK
from jobs.traefik_tags import traefik_tags
from jobs.vault_login import VaultLogin

GROUP = TASK
DATA_DIRECTORY = "/var/lib/registry"


@dataclass(frozen=True, kw_only=True)
class VaultGrant:
    """What Vault gave the job: who it is there, and where its secrets are (KV v2 API paths)."""

    policy: str
    role: str | None  # with identity `workload`
    paths: Mapping[str, str]  # by key: http, and what the settings ask for of users and config
    issue_path: str | None = None  # where a PKI engine issues the certificate, in tls.mode registry


def registry_job(
    settings: Settings,
    *,
    volume_source: str | None,
    service: str,
    grant: VaultGrant,
    jwks_path: str | None = None,
    host_network: str | None = None,
) -> nomad.Job:
    """Make the job from a stack's settings and from what the other components created.

    `volume_source` is for a store on a host volume, which has one writer.
    `jwks_path` is where the keys of clients' tokens are (KV v2 API). The ports listen on the address of
    `host_network`, or of the node's default network.
    """
    registry = settings.registry
    group = server_group(
        GROUP,
        network=_network(settings, host_network),
        services=_services(settings, service),
        volumes={settings.volume: volume_request(settings, volume_source)} if volume_source else None,
        tasks=(_task(settings, grant, jwks_path, mounted=volume_source is not None),),
    )
    return nomad.Job(
        id=registry.name,
        name=registry.name,
        namespace=registry.namespace,
        type="service",
        datacenters=registry.datacenters,
        task_groups=(_several(group, registry) if registry.is_shared else group,),
    )


def _network(settings: Settings, host_network: str | None) -> nomad.Network:
    """Publish the ports: fixed ones; Nomad chooses those of several instances, which may share a node."""
    registry = settings.registry
    ports = tuple(
        nomad.Port(label=label, value=None if registry.is_shared else value, to=to, host_network=host_network)
        for label, value, to in (
            ("registry", registry.port, REGISTRY_PORT),
            ("metrics", registry.debug_port, DEBUG_PORT),
        )
    )
    return nomad.Network(dynamic_ports=ports) if registry.is_shared else nomad.Network(ports=ports)


def _several(group: nomad.TaskGroup, registry: Registry) -> nomad.TaskGroup:
    """Make the group one of several instances."""
    return replace(
        group,
        count=registry.count,
        # One that is to end serves until Traefik knows that.
        shutdown_delay=Duration(registry_model.go_duration(registry.shutdown_delay)),
        # On one machine they would all end together.
        spreads=(nomad.Spread(attribute="${node.unique.id}", weight=100),),
        scaling=autoscaling(registry.scaling) if registry.scaling else None,
    )


def _task(settings: Settings, grant: VaultGrant, jwks_path: str | None, *, mounted: bool) -> nomad.Task:
    registry, config = settings.registry, _complete_config(settings)
    return server_task(
        settings,
        config,
        resources=nomad.Resources(cpu=registry.cpu, memory=registry.memory),
        templates=tuple(_templates(settings, config, grant, jwks_path)),
        login=VaultLogin(policy=grant.policy, role=grant.role),
        volume_mounts=(nomad.VolumeMount(volume=settings.volume, destination=DATA_DIRECTORY),)
        if mounted
        else (),
        labels=(_homepage(settings),) if registry.homepage.enabled else (),
    )


def _templates(
    settings: Settings, config: Mapping[str, Any], grant: VaultGrant, jwks_path: str | None
) -> Iterator[nomad.Template]:
    freeze = freeze_variable(settings.registry.name)
    paths = grant.paths["http"], grant.paths.get("config")
    yield secret_file(settings, CONFIG_FILE, config_template(config, *paths, freeze))
    yield from auth_files(settings, users_path=grant.paths.get("users"), jwks_path=jwks_path)
    if grant.issue_path:
        yield certificate_file(settings, grant.issue_path)


def _complete_config(settings: Settings) -> dict[str, Any]:
    return registry_model.merge(access_config(settings), settings.registry_config)


def volume_request(settings: Settings, source: str, name: str | None = None) -> nomad.VolumeRequest:
    """Ask the node for a volume: the one with the images, unless it has another `name`."""
    if settings.storage.kind == "static":
        return nomad.VolumeRequest(name=name or settings.volume, source=source)
    return nomad.VolumeRequest(
        name=name or settings.volume,
        source=source,
        # Must equal a capability that the volume declares (Nomad, scheduler/feasible.go).
        access_mode="single-node-writer",
        attachment_mode="file-system",
    )


def route_tags(settings: Settings, service: str) -> tuple[str, ...]:
    """Give the tags by which Traefik leads the registry's host name to its service."""
    restart = longest_restart(_complete_config(settings))
    return traefik_tags(settings, service, settings.registry.hostname, longest_restart=restart)


def _services(settings: Settings, service: str) -> tuple[nomad.Service, ...]:
    homepage, config = settings.registry.homepage.enabled, _complete_config(settings)
    check = server_check(settings, config)
    if settings.registry.is_shared:
        check = replace(check, failures_before_critical=1)  # the others serve meanwhile
    return (
        nomad.Service(
            name=service,
            port="registry",
            tags=(
                *route_tags(settings, service),
                *(f"{key}={value}" for key, value in _homepage(settings).items() if homepage),
            ),
            checks=(check,),
        ),
        metrics_service(f"{service}-metrics", config),
    )


def _homepage(settings: Settings) -> dict[str, str]:
    """Homepage finds containers by Docker labels; the Consul tags are what the old document promised."""
    homepage = settings.registry.homepage
    return {
        "homepage.name": homepage.name,
        "homepage.icon": homepage.icon,
        "homepage.group": homepage.group,
        "homepage.description": homepage.description,
        "homepage.href": settings.registry_url,
    }
