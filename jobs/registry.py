"""The registry's Nomad job: one writer on one volume, its configuration and secrets rendered at run time."""

from dataclasses import dataclass
from typing import Any

from config import registry as registry_model
from config.settings import Settings
from jobs import nomad
from jobs.config_template import config_template, htpasswd_template
from jobs.duration import Duration

GROUP = TASK = "registry"
# Inside the container; the host's ports are settings.
REGISTRY_PORT, DEBUG_PORT = 5000, 5001
# The secrets folder is a tmpfs that neither `nomad alloc fs` nor the host's disk shows.
CONFIG_FILE, HTPASSWD_FILE = "/secrets/config.yml", "/secrets/htpasswd"
DATA_DIRECTORY = "/var/lib/registry"


@dataclass(frozen=True, kw_only=True)
class VaultGrant:
    """What Vault gave the job: who it is there, and where its secrets are (KV v2 API paths)."""

    policy: str
    role: str | None  # with identity `workload`
    http_path: str
    users_path: str
    config_path: str | None  # where `registry.config` has secrets


def registry_job(settings: Settings, *, volume_source: str, service: str, grant: VaultGrant) -> nomad.Job:
    """Make the job from a stack's settings and from what the other components created."""
    registry = settings.registry
    return nomad.Job(
        id=registry.name,
        name=registry.name,
        namespace=registry.namespace,
        type="service",
        datacenters=registry.datacenters,
        task_groups=(
            nomad.TaskGroup(
                name=GROUP,
                count=1,  # one writer on one host volume
                networks=(
                    nomad.Network(
                        ports=(
                            nomad.Port(label="registry", value=registry.port, to=REGISTRY_PORT),
                            nomad.Port(label="metrics", value=registry.debug_port, to=DEBUG_PORT),
                        )
                    ),
                ),
                services=_services(settings, service),
                volumes={settings.volume: _volume_request(settings, volume_source)},
                # A registry that cannot start fails within seconds, so that auto_revert acts at once;
                # rescheduling then goes on for ever, since nothing else would start it again.
                restart_policy=nomad.Restart(
                    attempts=2, interval=Duration.minutes(2), delay=Duration.seconds(3), mode="fail"
                ),
                reschedule_policy=nomad.Reschedule(
                    unlimited=True,
                    delay=Duration.seconds(10),
                    delay_function="exponential",
                    max_delay=Duration.minutes(5),
                ),
                update=nomad.Update(
                    max_parallel=1,
                    canary=0,  # a canary would be a second writer on the volume
                    health_check="checks",
                    # The registry either serves at once or ends at once: longer only slows a deploy down.
                    min_healthy_time=Duration.seconds(3),
                    healthy_deadline=Duration.minutes(5),
                    # With any other value Nomad reschedules a failed allocation until the deadline, and only
                    # then reverts; with 0 the first failed one ends the deployment.
                    progress_deadline=Duration.seconds(0),
                    auto_revert=True,  # a version that does not become healthy gives way to the last one
                ),
                tasks=(_task(settings, grant),),
            ),
        ),
    )


def _task(settings: Settings, grant: VaultGrant) -> nomad.Task:
    owner, config = settings.storage.owner, _complete_config(settings)
    return nomad.Task(
        name=TASK,
        user=f"{owner.uid}:{owner.gid}",  # the volume's owner: the only one who needs to write there
        config=nomad.DockerConfig(
            image=settings.registry.image,
            args=("serve", CONFIG_FILE),  # in full: 2.x and 3.x images have different default paths
            ports=("registry", "metrics"),
            cap_drop=("all",),  # it binds no port below 1024 and owns its files
            security_opt=("no-new-privileges",),
            readonly_rootfs=True,
            pids_limit=256,  # Go threads only; a bound against fork bombs
            labels=(_homepage(settings),) if settings.registry.homepage.enabled else (),
        ),
        # 3.x would send traces to localhost and log each failure (distribution #4270).
        env={"OTEL_TRACES_EXPORTER": "none"},
        identities=_identities(settings, grant),
        # distribution drains on SIGTERM only; Nomad ends it by force after kill_timeout, so that is longer.
        kill_signal="SIGTERM",
        kill_timeout=Duration(
            registry_model.go_duration(config["http"].get("draintimeout", "0"))
            + Duration.seconds(10).nanoseconds
        ),
        resources=nomad.Resources(cpu=settings.registry.cpu, memory=settings.registry.memory),
        templates=(
            nomad.Template(
                data=config_template(config, grant.http_path, grant.config_path),
                destination=CONFIG_FILE.lstrip("/"),
                change_mode="restart",  # the registry reads it only when it starts
                perms="0400",
                uid=owner.uid,
                gid=owner.gid,
            ),
            nomad.Template(
                data=htpasswd_template(grant.users_path),
                destination=HTPASSWD_FILE.lstrip("/"),
                change_mode="noop",  # the registry reads the file again when it changes
                perms="0400",
                uid=owner.uid,
                gid=owner.gid,
            ),
        ),
        vault=nomad.Vault(
            policies=None if grant.role else (grant.policy,),
            role=grant.role,
            env=False,  # only Nomad's templates use the token; the task itself never sees it
            disable_file=True,
            change_mode="noop",  # a new token changes nothing for the running task
        ),
        volume_mounts=(nomad.VolumeMount(volume=settings.volume, destination=DATA_DIRECTORY),),
    )


def _complete_config(settings: Settings) -> dict[str, Any]:
    auth = {"htpasswd": {"realm": settings.registry.hostname, "path": HTPASSWD_FILE}}
    return registry_model.merge(settings.registry_config, {"auth": auth})


def _identities(settings: Settings, grant: VaultGrant) -> tuple[nomad.Identity, ...] | None:
    """Name Vault's audience in the job itself, so that it does not hang on the servers' default_identity."""
    if grant.role is None:
        return None
    audience = (settings.vault.workload.audience,)
    return (nomad.Identity(name="vault_default", audience=audience, ttl=Duration.minutes(60)),)


def _volume_request(settings: Settings, source: str) -> nomad.VolumeRequest:
    if settings.storage.kind == "static":
        return nomad.VolumeRequest(name=settings.volume, source=source)
    return nomad.VolumeRequest(
        name=settings.volume,
        source=source,
        # Must equal a capability that the volume declares (Nomad, scheduler/feasible.go).
        access_mode="single-node-writer",
        attachment_mode="file-system",
    )


def _services(settings: Settings, service: str) -> tuple[nomad.Service, ...]:
    interval, timeout = Duration.seconds(5), Duration.seconds(2)
    homepage = settings.registry.homepage.enabled
    return (
        nomad.Service(
            name=service,
            port="registry",
            tags=(
                *_traefik_tags(settings, service),
                *(f"{key}={value}" for key, value in _homepage(settings).items() if homepage),
            ),
            checks=(
                # `/` is open and tells the storage's health; `/v2/` answers 401 as soon as there is auth.
                nomad.Check(name="registry", type="http", path="/", interval=interval, timeout=timeout),
            ),
        ),
        nomad.Service(
            name=f"{service}-metrics",
            port="metrics",
            checks=(
                nomad.Check(
                    name="metrics",
                    type="http",
                    path="/debug/health",
                    interval=interval,
                    timeout=timeout,
                ),
            ),
        ),
    )


def _traefik_tags(settings: Settings, router: str) -> tuple[str, ...]:
    tls, prefix = settings.tls, f"traefik.http.routers.{router}"
    tags = (
        "traefik.enable=true",
        f"{prefix}.rule=Host(`{settings.registry.hostname}`)",
        f"{prefix}.entrypoints={tls.entry_point}",
        f"{prefix}.tls=true",
    )
    return (*tags, f"{prefix}.tls.certresolver={tls.cert_resolver}") if tls.cert_resolver else tags


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
