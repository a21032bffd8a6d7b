import pytest

from checks.errors import CheckError
from checks.network import host_network
from checks.preflight import preflight


def client(name="nas", networks=(), **changes):
    addresses = [{"Alias": alias, "Address": address} for alias, address in networks]
    bridge = {"Mode": "bridge", "Addresses": None}  # Nomad's own answer has one too
    return {
        "Name": name,
        "Status": "ready",
        "Datacenter": "dc1",
        "HostVolumes": None,
        "NodeResources": {"NodeNetworks": [bridge, {"Mode": "host", "Addresses": addresses}]},
        **changes,
    }


NAS = client(networks=[("default", "192.168.1.10"), ("default", "fe80::1"), ("storage", "10.0.0.5")])


@pytest.fixture
def bound(servers, ready):
    """Ask for the host network of an address or name, of clients given."""

    def ask(bind, *clients):
        settings = ready(sections={"access": {"bind": bind}} if bind else {})
        nodes = {"status": 200, "body": list(clients)}
        return host_network(servers(settings, {"/v1/nodes": nodes}).nomad, settings)

    return ask


@pytest.mark.parametrize(
    ("bind", "network"),
    [
        (None, None),
        ("192.168.1.10", None),
        ("default", None),
        ("10.0.0.5", "storage"),
        ("storage", "storage"),
    ],
)
def test_an_address_or_a_name_becomes_the_network_that_a_port_names(bound, bind, network):
    assert bound(bind, NAS) == network


def test_a_client_with_the_volume_counts_alone(bound):
    volume = {"registry_data": {"Path": "/srv/registry_data", "ReadOnly": False}}
    owner = client("owner", [("lan", "192.168.1.20")], HostVolumes=volume)
    other = client("other", [("lan2", "192.168.1.30")])

    assert bound("192.168.1.20", other, owner) == "lan"
    with pytest.raises(CheckError, match="owner has lan"):
        bound("192.168.1.30", other, owner)


@pytest.mark.parametrize("network", ["lan", "default"])
def test_an_address_is_refused_if_its_network_is_another_address_on_another_client(bound, network):
    one, two = client("one", [(network, "192.168.1.10")]), client("two", [(network, "203.0.113.5")])

    with pytest.raises(CheckError, match=r"on two, which may run the registry too, that is 203\.0\.113\.5"):
        bound("192.168.1.10", one, two)


@pytest.mark.parametrize("change", [{"Status": "down"}, {"Datacenter": "dc2"}])
def test_a_client_that_cannot_run_the_registry_does_not_count(bound, change):
    with pytest.raises(CheckError, match="there is none that is ready"):
        bound("10.0.0.5", {**NAS, **change})


def test_an_address_that_no_client_offers_comes_with_what_there_is_and_the_stanza(bound):
    with pytest.raises(CheckError) as caught:
        bound("10.0.0.9", NAS)

    text = str(caught.value)
    assert "has a host network 10.0.0.9 (docker-registry:access.bind)" in text
    assert "nas has default (192.168.1.10), storage (10.0.0.5)" in text
    assert 'client {\n  host_network "registry" {\n    cidr = "10.0.0.9/32"\n  }\n}' in text


def test_the_second_address_of_a_network_is_not_promised(bound):
    with pytest.raises(CheckError):
        bound("fe80::1", NAS)


def test_loopback_gets_a_network_of_that_name(bound):
    with pytest.raises(CheckError, match=r'host_network "loopback" {\n +cidr = "127\.0\.0\.1/32"'):
        bound("127.0.0.1", NAS)


def test_a_name_that_no_client_has_comes_with_a_stanza_to_fill_in(bound):
    with pytest.raises(CheckError, match=r'host_network "dmz" {\n +cidr = "192\.168\.1\.10/32"'):
        bound("dmz", NAS)


def test_the_preflight_refuses_an_address_that_no_client_offers(servers, good, ready):
    settings = ready(sections={"access": {"bind": "10.0.0.9"}})
    nodes = {"status": 200, "body": [NAS]}

    with pytest.raises(CheckError, match=r"access\.bind"):
        preflight(settings, servers(settings, {**good, "nomad /v1/nodes": nodes}))
