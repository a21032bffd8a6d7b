"""The Consul server: one node, its data on disk, loopback only; with ACLs if the instance asks for them."""

import json
import uuid

import httpx

from devcluster.files import PRIVATE, write
from devcluster.instance import LOOPBACK, Instance
from devcluster.servers import Server, answers

MANAGEMENT, AGENT, NOMAD, TRAEFIK = "management", "agent", "nomad", "traefik"

# What each may do with ACLs on. Nomad's rules: its documentation, "Consul integration"; it registers
# every job's services with them.
RULES = {
    AGENT: 'node_prefix "" { policy = "write" }\nservice_prefix "" { policy = "read" }',
    NOMAD: 'agent_prefix "" { policy = "read" }\nnode_prefix "" { policy = "read" }\n'
    'service_prefix "" { policy = "write" }',
    TRAEFIK: 'node_prefix "" { policy = "read" }\nservice_prefix "" { policy = "read" }',
}


def config(instance: Instance) -> dict[str, object]:
    """Consul's agent configuration."""
    ports = instance.ports
    acl: dict[str, object] = {}
    if instance.acl:
        acl = {
            "acl": {
                "enabled": True,
                "default_policy": "deny",
                "tokens": {
                    "initial_management": token(instance, MANAGEMENT),
                    "agent": token(instance, AGENT),
                },
            }
        }
    return {
        "server": True,
        "bootstrap_expect": 1,
        "node_name": "cluster",
        "datacenter": "dc1",
        "data_dir": str(instance.root / "consul" / "data"),
        "bind_addr": LOOPBACK,
        "client_addr": LOOPBACK,
        "ports": {
            "http": ports.consul_http,
            "server": ports.consul_server,
            "serf_lan": ports.consul_serf_lan,
            "serf_wan": ports.consul_serf_wan,
            "dns": -1,
            "grpc": -1,
            "grpc_tls": -1,
        },
        # The default of 5 is for slow networks: a lone server would elect itself only after seconds.
        "performance": {"raft_multiplier": 1},
        "leave_on_terminate": False,
        "disable_update_check": True,
        "disable_remote_exec": True,
        "log_level": "INFO",
        **acl,
    }


def prepare(instance: Instance) -> None:
    """With ACLs, choose the tokens, so that every server's configuration can name its own from the start."""
    for name in (MANAGEMENT, *RULES) if instance.acl else ():
        file = instance.consul_token_file(name)
        if not file.exists():
            write(file, str(uuid.uuid4()), mode=PRIVATE)


def token(instance: Instance, name: str) -> str:
    """A token by its name; "" before the first start, and without ACLs."""
    file = instance.consul_token_file(name)
    return file.read_text() if instance.acl and file.exists() else ""


def headers(instance: Instance) -> dict[str, str]:
    """How a request to Consul's API says who asks: the management token, with ACLs."""
    management = token(instance, MANAGEMENT)
    return {"X-Consul-Token": management} if management else {}


def initialise(instance: Instance) -> None:
    """With ACLs, make Consul know the tokens that it does not know yet."""
    if not instance.acl:
        return
    acl = f"{instance.consul_address}/v1/acl"
    with httpx.Client(headers=headers(instance), timeout=30, trust_env=False) as http:
        for name, rules in RULES.items():
            secret = token(instance, name)
            if answers(f"{acl}/token/self", headers={"X-Consul-Token": secret}):
                continue
            http.put(f"{acl}/policy", json={"Name": name, "Rules": rules})  # refused if it is there already
            made = {"SecretID": secret, "Description": name, "Policies": [{"Name": name}]}
            http.put(f"{acl}/token", json=made).raise_for_status()


def server(instance: Instance) -> Server:
    """Consul as a server of the cluster."""
    file = instance.root / "consul" / "consul.json"
    ports = instance.ports
    return Server(
        name="consul",
        command=(str(instance.bin / "consul"), "agent", "-config-file", str(file)),
        files={file: json.dumps(config(instance), indent=2)},
        ports={
            "Consul's API": ports.consul_http,
            "Consul's RPC": ports.consul_server,
            "Consul's LAN gossip": ports.consul_serf_lan,
            "Consul's WAN gossip": ports.consul_serf_wan,
        },
        healthy=lambda: _serves(instance),
        address=instance.consul_address,
    )


def _serves(instance: Instance) -> bool:
    if instance.acl:  # a leader takes the management token a moment after its election
        return answers(f"{instance.consul_address}/v1/acl/token/self", headers=headers(instance))
    # The endpoint answers `""` as long as there is no leader.
    return answers(f"{instance.consul_address}/v1/status/leader", lambda body: len(body) > 2)
