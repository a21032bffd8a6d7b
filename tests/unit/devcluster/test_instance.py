from itertools import combinations
from pathlib import Path

from devcluster.instance import Instance, Ports

# Linux gives ports from 32768 on to outgoing connections.
FIRST_EPHEMERAL_PORT = 32768


def test_clusters_side_by_side_share_no_port_and_stay_below_the_kernels_own_range():
    tables = [Ports(), *(Ports.shifted(block) for block in range(1, 9))]
    used = [{*ports, *range(ports.dynamic_first, ports.dynamic_last + 1)} for ports in tables]
    assert all(one.isdisjoint(other) for one, other in combinations(used, 2))
    assert all(len(set(ports)) == len(list(ports)) for ports in tables)
    assert max(port for ports in used for port in ports) < FIRST_EPHEMERAL_PORT


def test_a_cluster_uses_the_servers_standard_ports_by_default():
    instance = Instance(root=Path("/home/alice/registry/.cluster"))
    assert instance.nomad_address == "http://127.0.0.1:4646"
    assert instance.consul_address == "http://127.0.0.1:8500"
    assert instance.vault_address == "http://127.0.0.1:8200"


def test_the_bridges_name_is_short_enough_for_linux_and_differs_by_folder():
    labels = {Instance(root=Path(root)).label for root in ("/a/.cluster", "/b/.cluster")}
    assert len(labels) == 2
    assert all(len(label) <= 15 for label in labels)  # IFNAMSIZ without its zero byte
