"""What the registry and its mirrors have in common: how the program runs, and how Nomad keeps it running."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from config import registry as registry_model
from config.settings import Settings
from jobs import nomad
from jobs.config_template import certificate_template
from jobs.duration import Duration
from jobs.registry_auth import auth_file, auth_section
from jobs.tasks.registry_mode import TASK
from jobs.vault_login import VaultLogin

# Inside the container; the host's ports are settings.
REGISTRY_PORT, DEBUG_PORT = 5000, 5001
# The secrets folder is a tmpfs that neither `nomad alloc fs` nor the host's disk shows.
CONFIG_FILE, CERTIFICATE_FILE = "/secrets/config.yml", "/secrets/tls.pem"
_CHECK_INTERVAL = Duration.seconds(5)


def server_group(
    name: str,
    *,
    network: nomad.Network,
    services: tuple[nomad.Service, ...],
    volumes: Mapping[str, nomad.VolumeRequest] | None,
    tasks: tuple[nomad.Task, ...],
) -> nomad.TaskGroup:
    """Make a group with one server: it starts again whenever it ends, and a bad version of it gives way."""
    return nomad.TaskGroup(
        name=name,
        count=1,  # one writer on one host volume
        networks=(network,),
        services=services,
        volumes=volumes,
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
        tasks=tasks,
    )


def server_task(
    settings: Settings,
    config: Mapping[str, Any],
    *,
    resources: nomad.Resources,
    templates: tuple[nomad.Template, ...],
    login: VaultLogin | None,
    volume_mounts: tuple[nomad.VolumeMount, ...],
    labels: tuple[Mapping[str, str], ...] = (),
) -> nomad.Task:
    """Make the task that serves by config.yml, whose content `config` is; `templates` has the file itself."""
    owner = settings.storage.owner
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
            labels=labels,
        ),
        # 3.x would send traces to localhost and log each failure (distribution #4270).
        env={"OTEL_TRACES_EXPORTER": "none"},
        identities=login.identities(settings) if login else None,
        # distribution drains on SIGTERM only; Nomad ends it by force after kill_timeout, so that is longer.
        kill_signal="SIGTERM",
        kill_timeout=kill_timeout(config),
        resources=resources,
        templates=templates,
        vault=login.vault(token_file=False) if login else None,
        volume_mounts=volume_mounts,
    )


def kill_timeout(config: Mapping[str, Any]) -> Duration:
    """Give how long the server may take to end: while it drains, it takes no connection any more."""
    drain = registry_model.go_duration(config["http"].get("draintimeout", "0"))
    return Duration(drain + Duration.seconds(10).nanoseconds)


def longest_restart(config: Mapping[str, Any]) -> Duration:
    """Give how long the server is away at most when it starts again in place, as at every freeze."""
    return Duration(kill_timeout(config).nanoseconds + Duration.seconds(5).nanoseconds)


def secret_file(
    settings: Settings, destination: str, data: str, change_mode: Literal["restart", "noop"] = "restart"
) -> nomad.Template:
    """Make a file that only the server reads."""
    owner = settings.storage.owner
    return nomad.Template(
        data=data,
        destination=destination.lstrip("/"),
        change_mode=change_mode,  # the registry reads most files only when it starts
        splay=Duration.seconds(0),  # there is only one, and a maintenance job waits for it
        perms="0400",
        uid=owner.uid,
        gid=owner.gid,
    )


def auth_files(
    settings: Settings, *, users_path: str | None, jwks_path: str | None
) -> Iterator[nomad.Template]:
    """Make the file by which clients are known, if there is one."""
    if file := auth_file(settings, users_path=users_path, jwks_path=jwks_path):
        # The registry reads its users again when their file changes.
        yield secret_file(settings, *file, change_mode="noop" if users_path else "restart")


def certificate_file(settings: Settings, issue_path: str, other_name: str | None = None) -> nomad.Template:
    """Make the file with certificate and key, for the registry's host name and another one."""
    hostname, ttl = settings.registry.hostname, settings.tls.authority.ttl
    return secret_file(
        settings, CERTIFICATE_FILE, certificate_template(issue_path, hostname, ttl, other_name)
    )


def access_config(settings: Settings, *, auth: bool = True) -> dict[str, Any]:
    """Write the sections by which clients reach the server: who they are, and TLS."""
    config: dict[str, Any] = {"auth": section} if auth and (section := auth_section(settings)) else {}
    if settings.tls.mode == "registry":
        # One file has both; distribution takes from it what it needs.
        files = {"certificate": CERTIFICATE_FILE, "key": CERTIFICATE_FILE}
        config["http"] = {"tls": {"minimumtls": "tls1.2", **files}}
    return config


def server_check(settings: Settings, config: Mapping[str, Any]) -> nomad.Check:
    """Ask the server how it is, by the config.yml that it has."""
    tls = settings.tls.mode == "registry"
    return nomad.Check(
        name="registry",
        type="http",
        # `/` is open and tells the storage's health; `/v2/` answers 401 as soon as there is auth.
        path="/",
        protocol="https" if tls else None,
        tls_skip_verify=True if tls else None,  # Consul asks by the address, which no name fits
        interval=_CHECK_INTERVAL,
        timeout=Duration.seconds(2),
        failures_before_critical=_failures(config),
    )


def _failures(config: Mapping[str, Any]) -> int:
    """Give how many checks in a row may fail before the server counts as down: those of a restart in place.

    Traefik forgets a service that is critical, and answers 404 until some seconds after its next good check.
    """
    return -(-longest_restart(config).nanoseconds // _CHECK_INTERVAL.nanoseconds)


def metrics_service(name: str, config: Mapping[str, Any], tags: tuple[str, ...] = ()) -> nomad.Service:
    """Make the service of the debug port, by the server's config.yml."""
    return nomad.Service(
        name=name,
        port="metrics",
        tags=("traefik.enable=false", *tags),  # Traefik routes a service without tags too, by its name
        checks=(
            nomad.Check(
                name="metrics",
                type="http",
                path="/debug/health",
                interval=_CHECK_INTERVAL,
                timeout=Duration.seconds(2),
                failures_before_critical=_failures(config),
            ),
        ),
    )
