"""The part of Nomad's job API that we use, as types (Nomad API: Jobs, JSON job specification).

A field that is None is left out, so that Nomad's own default holds. `render` makes the API's JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from jobs.duration import Duration


def api(name: str, **options: Any) -> Any:
    """Name a field as the API spells it, where that is not simply the field's name in CamelCase."""
    return field(metadata={"api": name}, **options)


@dataclass(frozen=True, kw_only=True)
class Template:
    """A file that Nomad renders into the task's directory, by consul-template's language."""

    data: str = api("EmbeddedTmpl")
    destination: str = api("DestPath")
    change_mode: Literal["noop", "restart", "signal"]
    perms: str
    splay: Duration | None = None  # longest random wait before the change; 5 s by default
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, kw_only=True)
class Vault:
    """How a task reaches Vault: `policies` up to Nomad 1.9, `role` with workload identity from 1.7."""

    policies: tuple[str, ...] | None = None
    role: str | None = None
    env: bool
    disable_file: bool
    change_mode: Literal["noop", "restart"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A workload identity: a JWT that Nomad signs for the task (1.7 and newer for other than the default)."""

    name: str
    audience: tuple[str, ...]
    ttl: Duration = api("TTL")


@dataclass(frozen=True, kw_only=True)
class NomadIdentity:
    """The workload identity for Nomad's own API (1.5 and newer); `file` puts it at secrets/nomad_token."""

    file: bool


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """When a task runs beside the group's main tasks, if it is none; it is to end by itself."""

    hook: Literal["prestart", "poststop"]


@dataclass(frozen=True, kw_only=True)
class VolumeMount:
    """Where a task sees one of its group's volumes."""

    volume: str
    destination: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Resources:
    """CPU in MHz, memory in MiB."""

    cpu: int = api("CPU")
    memory: int = api("MemoryMB")


@dataclass(frozen=True, kw_only=True)
class DockerConfig:
    """The docker driver's task configuration; the driver spells its keys in snake_case."""

    image: str
    auth_soft_fail: bool | None = None
    entrypoint: tuple[str, ...] | None = None  # the image's own
    args: tuple[str, ...]
    network_mode: Literal["host", "none"] | None = None
    ports: tuple[str, ...] = ()
    cap_drop: tuple[str, ...]
    security_opt: tuple[str, ...]
    readonly_rootfs: bool
    pids_limit: int
    labels: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Task:
    """One process of a group."""

    name: str
    driver: Literal["docker"] = "docker"
    user: str | None = None
    config: DockerConfig
    env: Mapping[str, str] | None = None
    lifecycle: Lifecycle | None = None
    identity: NomadIdentity | None = None
    identities: tuple[Identity, ...] | None = None
    kill_signal: str | None = None
    kill_timeout: Duration | None = None
    resources: Resources
    templates: tuple[Template, ...] = ()
    vault: Vault | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """A health check that Consul runs."""

    name: str
    type: Literal["http", "tcp"]
    path: str | None = None
    protocol: Literal["http", "https"] | None = None
    tls_skip_verify: bool | None = api("TLSSkipVerify", default=None)
    interval: Duration
    timeout: Duration
    failures_before_critical: int  # one after the other; Consul's default is the first


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service registered in Consul for as long as the group runs."""

    name: str
    port: str = api("PortLabel")
    provider: Literal["consul", "nomad"] = "consul"
    tags: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the host, fixed or of Nomad's choice, and the container's port behind it."""

    label: str
    value: int | None = None  # only of a fixed one
    to: int
    host_network: str | None = None  # the node's default one


@dataclass(frozen=True, kw_only=True)
class Network:
    """The ports of a group."""

    ports: tuple[Port, ...] | None = api("ReservedPorts", default=None)
    dynamic_ports: tuple[Port, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeRequest:
    """A volume that a group asks its node for."""

    name: str
    type: Literal["host"] = "host"
    source: str
    read_only: bool = False
    access_mode: str | None = None
    attachment_mode: str | None = None


@dataclass(frozen=True, kw_only=True)
class Restart:
    """How often a failed task is started again on its node."""

    attempts: int
    interval: Duration
    delay: Duration
    mode: Literal["fail", "delay"]


@dataclass(frozen=True, kw_only=True)
class Reschedule:
    """How a failed allocation is replaced by a new one."""

    attempts: int | None = None
    interval: Duration | None = None
    unlimited: bool
    delay: Duration | None = None
    delay_function: Literal["constant", "exponential", "fibonacci"] | None = None
    max_delay: Duration | None = None


@dataclass(frozen=True, kw_only=True)
class Update:
    """How a new version of a job replaces the old one."""

    max_parallel: int
    canary: int
    health_check: Literal["checks", "task_states"]
    min_healthy_time: Duration
    healthy_deadline: Duration
    progress_deadline: Duration
    auto_revert: bool


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Where a group's instances are to be far from each other; weight is 1 to 100."""

    attribute: str
    weight: int


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Between which numbers of instances an autoscaler chooses, and how; `policy` is its own."""

    type: Literal["horizontal"] = "horizontal"
    min: int
    max: int
    enabled: bool = True
    policy: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TaskGroup:
    """Tasks that run together on one node."""

    name: str
    count: int
    networks: tuple[Network, ...] = ()
    services: tuple[Service, ...] = ()
    volumes: Mapping[str, VolumeRequest] | None = None
    restart_policy: Restart | None = None
    reschedule_policy: Reschedule | None = None
    update: Update | None = None
    shutdown_delay: Duration | None = None  # between the end of a service's registration and the task's
    spreads: tuple[Spread, ...] | None = None
    scaling: Scaling | None = None
    tasks: tuple[Task, ...]


@dataclass(frozen=True, kw_only=True)
class Periodic:
    """When a batch job runs; each run is a job of its own, a child of the periodic one."""

    spec: str  # as in a crontab
    spec_type: Literal["cron"] = "cron"
    enabled: bool = True  # the API's own default is false
    prohibit_overlap: bool
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class Parameterized:
    """A batch job that runs only when it is dispatched; each run is a job of its own, a child of it."""

    payload: Literal["forbidden"] = "forbidden"
    meta_required: tuple[str, ...] = ()
    meta_optional: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A Nomad job."""

    id: str = api("ID")
    name: str
    namespace: str
    type: Literal["service", "batch", "system"]
    datacenters: tuple[str, ...]
    periodic: Periodic | None = None
    parameterized: Parameterized | None = api("ParameterizedJob", default=None)
    task_groups: tuple[TaskGroup, ...]


def to_api(value: Any) -> Any:
    """Turn a typed job, or a part of one, into the API's data."""
    if isinstance(value, Duration):
        return value.nanoseconds
    if is_dataclass(value):
        spelled = str if isinstance(value, DockerConfig) else _camel_case
        return {
            each.metadata.get("api") or spelled(each.name): to_api(content)
            for each in fields(value)
            if (content := getattr(value, each.name)) is not None
        }
    if isinstance(value, Mapping):
        return {name: to_api(content) for name, content in value.items()}
    if isinstance(value, tuple):
        return [to_api(content) for content in value]
    return value


def render(job: Job) -> str:
    """Render a job as the JSON that `nomad.Job(json=True)` takes, its keys always in one order."""
    return json.dumps(to_api(job), sort_keys=True)


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
