"""The Consul server: one node, its data on disk, loopback only."""

import json

from devcluster.instance import LOOPBACK, Instance
from devcluster.servers import Server, answers


def config(instance: Instance) -> dict[str, object]:
    """Consul's agent configuration."""
    ports = instance.ports
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
    }


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
        # The endpoint answers `""` as long as there is no leader.
        healthy=lambda: answers(f"{instance.consul_address}/v1/status/leader", lambda body: len(body) > 2),
        address=instance.consul_address,
    )
