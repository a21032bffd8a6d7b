from pathlib import PurePosixPath

import pytest

from checks.errors import CheckError
from checks.volume import Offer, offers, path_problem, require_offered


def node(name="nas", status="ready", path="/srv/registry_data", read_only=False):
    volumes = {"registry_data": {"Path": path, "ReadOnly": read_only}} if path else None
    return {"Name": name, "Status": status, "HostVolumes": volumes}


@pytest.fixture
def nomad(servers, ready):
    def make(*nodes):
        return servers(ready(), {"/v1/nodes": {"status": 200, "body": list(nodes)}}).nomad

    return make


def test_only_ready_clients_offer_a_volume(nomad):
    client = nomad(node("old", status="down", path="/old"), node("nas"), node("other", path=None))

    assert offers(client, "registry_data") == [
        Offer(node="nas", path=PurePosixPath("/srv/registry_data"), read_only=False)
    ]


def test_the_same_path_and_no_offer_at_all_are_no_problem(nomad, ready):
    assert path_problem(nomad(node(path="/srv/registry_data/")), ready()) is None
    assert path_problem(nomad(node(path=None)), ready()) is None


def test_another_path_comes_with_the_way_to_move_and_the_way_back(nomad, ready):
    text = path_problem(nomad(node(path="/old/place")), ready())

    assert "on nas offers the volume registry_data at /old/place" in text
    assert "the images stay in /old/place" in text
    steps = [line.strip() for line in text.splitlines() if line.strip()[:2] in ("1.", "2.", "3.", "4.", "5.")]
    assert [step.split()[1] for step in steps] == ["nomad", "on", "let", "restart", "run"]
    assert "mkdir -p /srv/registry_data && cp -a /old/place/. /srv/registry_data/" in text
    assert text.endswith("pulumi config set --path docker-registry:storage.path /old/place")


def test_a_volume_that_nobody_offers_comes_with_the_stanza_to_add(nomad, ready):
    with pytest.raises(CheckError) as caught:
        require_offered(nomad(node(path=None)), ready())

    text = str(caught.value)
    assert "no Nomad client offers the volume registry_data" in text
    assert "On the machine with the directory /srv/registry_data, which `pulumi up` makes:" in text
    assert 'host_volume "registry_data" {' in text
    assert 'path      = "/srv/registry_data"' in text
    assert "restart Nomad" in text
    assert "`pulumi up` again" in text


def test_a_read_only_offer_is_refused(nomad, ready):
    with pytest.raises(
        CheckError, match=r"on nas offers the volume registry_data read-only: set `read_only = false`"
    ):
        require_offered(nomad(node(read_only=True)), ready())


def test_a_volume_that_is_offered_passes(nomad, ready):
    require_offered(nomad(node()), ready())
