"""The Nomad job of the mirrors: a group for each, so that adding or removing one leaves the others alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from config import registry as registry_model
from config.sections.mirrors import Mirror
from config.settings import Settings
from jobs import nomad
from jobs.config_template import config_template
from jobs.maintenance import PRESTART, owner_of
from jobs.registry import volume_request
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
from jobs.script_task import script_task
from jobs.traefik_tags import traefik_tags
from jobs.vault_login import VaultLogin

EVICT = "evict"
CACHE_DIRECTORY = "/var/lib/registry-cache"
_EVICT_MEMORY = 128  # MiB; what is known of each blob is in memory


@dataclass(frozen=True, kw_only=True)
class MirrorsGrant:
    """What Vault gave the job: who it is there, and where its secrets are (KV v2 API paths)."""

    login: VaultLogin | None  # None: there is nothing to read
    upstream_paths: Mapping[str, str]  # user and password at the upstream, by the mirror's name
    users_path: str | None = None  # in auth mode htpasswd
    jwks_path: str | None = None  # in auth mode vault
    issue_path: str | None = None  # where a PKI engine issues the certificate, in tls.mode registry


def mirrors_job(
    settings: Settings, *, volume_source: str, grant: MirrorsGrant, host_network: str | None = None
) -> nomad.Job:
    """Make the job from a stack's settings and from what the other components created.

    The ports listen on the address of `host_network`, or of the node's default network.
    """
    registry = settings.registry
    return nomad.Job(
        id=settings.mirrors_job,
        name=settings.mirrors_job,
        namespace=registry.namespace,
        type="service",
        datacenters=registry.datacenters,
        task_groups=tuple(
            _group(settings, mirror, volume_source, grant, host_network) for mirror in settings.mirrors.root
        ),
    )


def store_of(mirror: Mirror) -> str:
    """Name a mirror's directory, as its tasks see it."""
    return f"{CACHE_DIRECTORY}/{mirror.name}"


def mirror_config(settings: Settings, mirror: Mirror) -> dict[str, Any]:
    """Write a mirror's config.yml but for its credentials: our defaults, as a pull-through cache."""
    version = settings.registry_version
    proxy: dict[str, Any] = {"remoteurl": mirror.upstream}
    if version is registry_model.RegistryVersion.V3:
        proxy["ttl"] = mirror.ttl
    config = {
        "log": {"fields": {"service": settings.mirror_service(mirror)}},
        "storage": {
            "filesystem": {"rootdirectory": store_of(mirror)},
            "delete": {"enabled": True},  # else what has expired stays on the disk (distribution #4249)
            "cache": None,  # it would go on naming blobs that expired (distribution #1356)
        },
        "proxy": proxy,
    }
    ours = registry_model.merge(registry_model.defaults(version), config)
    return registry_model.merge(ours, access_config(settings, auth=mirror.auth == "same"))


def cache_mount(settings: Settings, *, read_only: bool) -> nomad.VolumeMount:
    """Mount the volume with what all mirrors cache."""
    return nomad.VolumeMount(volume=settings.cache_volume, destination=CACHE_DIRECTORY, read_only=read_only)


def cache_request(settings: Settings, source: str) -> Mapping[str, nomad.VolumeRequest]:
    """Ask the node for that volume."""
    return {settings.cache_volume: volume_request(settings, source, settings.cache_volume)}


def _group(
    settings: Settings, mirror: Mirror, volume_source: str, grant: MirrorsGrant, host_network: str | None
) -> nomad.TaskGroup:
    service, config = settings.mirror_service(mirror), mirror_config(settings, mirror)
    hostname = settings.mirror_hostname(mirror)
    return server_group(
        mirror.name,
        network=nomad.Network(
            ports=(
                nomad.Port(label="registry", value=mirror.port, to=REGISTRY_PORT, host_network=host_network),
            ),
            dynamic_ports=(nomad.Port(label="metrics", to=DEBUG_PORT, host_network=host_network),),
        ),
        services=(
            nomad.Service(
                name=service,
                port="registry",
                tags=traefik_tags(settings, service, hostname, longest_restart=longest_restart(config)),
                checks=(server_check(settings, config),),
            ),
            # One for all, so that one scrape job finds them.
            metrics_service(settings.mirrors_metrics_service, config, (f"mirror={mirror.name}",)),
        ),
        volumes=cache_request(settings, volume_source),
        tasks=(_evict(settings, mirror), _task(settings, mirror, grant)),
    )


def _task(settings: Settings, mirror: Mirror, grant: MirrorsGrant) -> nomad.Task:
    config, upstream_path = mirror_config(settings, mirror), grant.upstream_paths.get(mirror.name)
    files = [secret_file(settings, CONFIG_FILE, config_template(config, upstream_path=upstream_path))]
    if mirror.auth == "same":
        files += auth_files(settings, users_path=grant.users_path, jwks_path=grant.jwks_path)
    if grant.issue_path:
        files.append(certificate_file(settings, grant.issue_path, settings.mirror_hostname(mirror)))
    known = mirror.auth == "same" and (grant.users_path or grant.jwks_path)
    return server_task(
        settings,
        config,
        resources=nomad.Resources(cpu=mirror.cpu, memory=mirror.memory),
        templates=tuple(files),
        login=grant.login if upstream_path or known or grant.issue_path else None,
        volume_mounts=(cache_mount(settings, read_only=False),),
    )


def _evict(settings: Settings, mirror: Mirror) -> nomad.Task:
    """Mend the cache and make room before the mirror starts: while it runs, the store is its own."""
    limit = {"LIMIT": str(mirror.limit)} if mirror.limit is not None else {}
    made = script_task(
        EVICT,
        settings,
        user=owner_of(settings),
        env={"STORE": store_of(mirror), **limit},
        volume_mounts=(cache_mount(settings, read_only=False),),
        lifecycle=PRESTART,
    )
    return replace(
        made,
        config=replace(made.config, network_mode="none"),  # all it needs is on the volume
        resources=nomad.Resources(cpu=made.resources.cpu, memory=_EVICT_MEMORY),
    )
