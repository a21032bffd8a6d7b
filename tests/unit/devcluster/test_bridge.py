import ipaddress
from subprocess import CompletedProcess

import pytest

from devcluster import bridge
from devcluster.bridge import POOL, free_subnet, rules
from devcluster.errors import ClusterError


def test_a_bridge_takes_the_first_subnet_that_nothing_overlaps():
    taken = [
        ipaddress.IPv4Network(network) for network in ("10.213.0.0/24", "10.213.1.128/25", "192.168.1.0/24")
    ]
    assert str(free_subnet(taken)) == "10.213.2.0/24"


def test_no_free_subnet_is_an_error_that_says_what_to_do():
    with pytest.raises(ClusterError, match="remove unused bridges"):
        free_subnet([POOL])


def test_containers_reach_the_outside_from_their_own_subnet_only():
    nat, *_ = rules("dr-1", ipaddress.IPv4Network("10.213.0.0/24"))
    assert nat == ("-t", "nat", "POSTROUTING", "-s", "10.213.0.0/24", "!", "-o", "dr-1", "-j", "MASQUERADE")


def test_a_rule_is_removed_also_when_iptables_was_busy_as_it_was_looked_for(monkeypatch):
    codes, asked = iter([4, 0, 1]), []  # busy; deleted; there is no such rule

    def iptables(action, rule):
        asked.append(action)
        return CompletedProcess((action, *rule), next(codes))

    monkeypatch.setattr(bridge, "_iptables", iptables)
    bridge._set(("-t", "filter", "FORWARD", "-i", "dr-1", "-j", "ACCEPT"), present=False)

    assert asked == ["-C", "-D", "-C"]
