"""The Nomad agent: server and client in one, with Docker, Consul, Vault and the registry's host volume."""

import json
import os
import time
import uuid
from pathlib import Path

import httpx

from devcluster import consul
from devcluster.files import PRIVATE, write
from devcluster.instance import CONTAINER_USER, LOOPBACK, Instance
from devcluster.openbao import NOMAD_ROLE
from devcluster.servers import Server, answers

NAME = "nomad"
VOLUME, CACHE_VOLUME = "registry_data", "registry_cache"
AUTH_VOLUME, BACKUP_VOLUME = "registry_auth", "registry_backup"
STAGING_VOLUME = "registry_staging_data"  # of Pulumi.staging.yaml
JOB = "docker-registry"


def config(instance: Instance, docker_host: str, vault_token: str) -> dict[str, object]:
    """Nomad's agent configuration."""
    ports = instance.ports
    plugins: list[dict[str, object]] = [
        {
            "docker": {
                "config": {
                    "endpoint": docker_host,
                    "auth": {"config": str(_auth_file(instance))},
                    # Images come by `docker import`: removed ones could not be pulled again.
                    # Dangling containers may be another instance's.
                    "gc": {"image": False, "container": True, "dangling_containers": {"enabled": False}},
                    # Log collectors tell by them whose lines they are (docs/monitoring.md).
                    "extra_labels": ["job_name", "task_name"],
                }
            }
        }
    ]
    if instance.raw_exec:
        plugins.append({"raw_exec": {"config": {"enabled": True}}})
    return {
        "name": "cluster",
        "region": "global",
        "datacenter": "dc1",
        "data_dir": str(instance.root / "nomad" / "data"),
        "bind_addr": LOOPBACK,
        # Outside -dev Nomad does not advertise a loopback address unless it is told to.
        "advertise": {
            "http": f"{LOOPBACK}:{ports.nomad_http}",
            "rpc": f"{LOOPBACK}:{ports.nomad_rpc}",
            "serf": f"{LOOPBACK}:{ports.nomad_serf}",
        },
        "ports": {"http": ports.nomad_http, "rpc": ports.nomad_rpc, "serf": ports.nomad_serf},
        "leave_on_interrupt": False,
        "leave_on_terminate": False,
        "disable_update_check": True,
        "log_level": "INFO",
        "server": {"enabled": True, "bootstrap_expect": 1},
        "client": {
            "enabled": True,
            "servers": [f"{LOOPBACK}:{ports.nomad_rpc}"],
            # Containers publish their ports on this interface's address.
            "network_interface": "lo",
            "min_dynamic_port": ports.dynamic_first,
            "max_dynamic_port": ports.dynamic_last,
            # The default of 30 s would cap the time in which the registry finishes its pushes.
            "max_kill_timeout": "60s",
            # A fuller disk would make Nomad remove stopped allocations, whose logs tell why they stopped.
            "gc_disk_usage_threshold": 95,
            "gc_inode_usage_threshold": 95,
            # Each would wait for a cloud's metadata server that is not there.
            "options": {"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"},
            "host_volume": [
                {VOLUME: {"path": str(instance.registry_volume), "read_only": False}},
                {STAGING_VOLUME: {"path": str(instance.staging_volume), "read_only": False}},
                {AUTH_VOLUME: {"path": str(instance.auth_volume), "read_only": False}},
                {BACKUP_VOLUME: {"path": str(instance.backup_volume), "read_only": False}},
                {CACHE_VOLUME: {"path": str(instance.cache_volume), "read_only": False}},
            ],
            # A second address to bind to, which docker does not take for this machine's own.
            "host_network": [{"bridge": {"interface": instance.label}}] if instance.own_engine else [],
        },
        "plugin": plugins,
        "acl": {"enabled": instance.acl},
        "consul": {
            "address": f"{LOOPBACK}:{ports.consul_http}",
            "token": consul.token(instance, consul.NOMAD),
        },
        "vault": {
            "enabled": True,
            "address": instance.vault_address,
            "token": vault_token,
            "create_from_role": NOMAD_ROLE,
        },
    }


def prepare(instance: Instance) -> None:
    """Make the host volumes' directories, and a file for docker log-ins.

    Nomad does not start without the directories, and refuses every pull without the file.
    """
    instance.registry_volume.mkdir(parents=True, exist_ok=True)
    instance.cache_volume.mkdir(parents=True, exist_ok=True)
    instance.staging_volume.mkdir(parents=True, exist_ok=True)
    instance.auth_volume.mkdir(parents=True, exist_ok=True)
    instance.backup_volume.mkdir(parents=True, exist_ok=True)
    # The jobs' user, in whose name `pulumi up` makes the registry's volume.
    os.chown(instance.backup_volume, os.getuid() or CONTAINER_USER, os.getgid() or CONTAINER_USER)
    if not _auth_file(instance).exists():
        write(_auth_file(instance), "{}", mode=PRIVATE)


def _auth_file(instance: Instance) -> Path:
    return instance.auth_volume / "config.json"


def registry_ports(instance: Instance) -> dict[str, int]:
    """The ports on which the registry's container is published."""
    return {"the registry": instance.ports.registry, "the registry's metrics": instance.ports.registry_debug}


def server(instance: Instance, docker_host: str, vault_token: str) -> Server:
    """Nomad as a server of the cluster."""
    file = instance.root / "nomad" / "nomad.json"
    ports = instance.ports
    return Server(
        name=NAME,
        command=(str(instance.bin / "nomad"), "agent", "-config", str(file)),
        files={file: json.dumps(config(instance, docker_host, vault_token), indent=2)},
        ports={
            "Nomad's API": ports.nomad_http,
            "Nomad's RPC": ports.nomad_rpc,
            "Nomad's gossip": ports.nomad_serf,
        },
        healthy=lambda: _healthy(instance),
        address=instance.nomad_address,
    )


def initialise(instance: Instance) -> bool:
    """With ACLs, make the management token; False if there is nothing to do."""
    file = instance.nomad_token_file
    if not instance.acl or file.exists():
        return False
    secret = str(uuid.uuid4())
    url = f"{instance.nomad_address}/v1/acl/bootstrap"
    httpx.post(url, json={"BootstrapSecret": secret}, timeout=30, trust_env=False).raise_for_status()
    return write(file, secret, mode=PRIVATE)


def token(instance: Instance) -> str:
    """The management token; "" before the first start, and without ACLs."""
    file = instance.nomad_token_file
    return file.read_text() if instance.acl and file.exists() else ""


def wait_for_registry(instance: Instance, seconds: float = 60) -> bool:
    """Wait until the registry's job, if Nomad has one, serves again; False if it does not in time."""
    job = _get(instance, f"/v1/job/{JOB}")
    if not isinstance(job, dict) or job.get("Stop"):
        return True
    deadline = time.monotonic() + seconds
    url = f"{instance.consul_address}/v1/health/service/registry?passing"
    while not answers(url, lambda body: json.loads(body) != [], consul.headers(instance)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _healthy(instance: Instance) -> bool:
    if instance.acl and not token(instance):  # nobody may ask more until `initialise`
        return bool(_get(instance, "/v1/status/leader"))
    return _takes_jobs(instance)


def _takes_jobs(instance: Instance) -> bool:
    """Whether the node is ready with all that the registry's job asks of it."""
    nodes = _get(instance, "/v1/nodes")
    if not isinstance(nodes, list) or not nodes or nodes[0]["Status"] != "ready":
        return False
    node = _get(instance, f"/v1/node/{nodes[0]['ID']}")
    if not isinstance(node, dict):
        return False
    attributes = node["Attributes"]
    return (
        node["Drivers"].get("docker", {}).get("Healthy", False)
        and "consul.version" in attributes
        and "vault.version" in attributes
        and VOLUME in node["HostVolumes"]
    )


def _get(instance: Instance, path: str) -> object:
    """The JSON that Nomad answers, or None for any answer but 200."""
    url, headers = instance.nomad_address + path, {"X-Nomad-Token": token(instance)}
    try:
        response = httpx.get(url, headers=headers, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return None
    return response.json() if response.status_code == 200 else None
