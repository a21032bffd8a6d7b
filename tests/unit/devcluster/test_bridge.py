import ipaddress

import pytest

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
