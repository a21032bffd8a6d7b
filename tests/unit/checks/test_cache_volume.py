import pytest

from checks.cache_volume import require_cache_offered
from checks.errors import CheckError

PATH = "/volume1/nomad/volumes/registry_cache"
MIRROR = {"name": "quay", "upstream": "https://quay.io", "port": 5011}


@pytest.fixture
def require(servers, ready):
    def run(volumes):
        settings = ready(sections={"mirrors": [MIRROR], "storage": {}})
        node = {"Name": "nas", "Status": "ready", "Datacenter": "dc1", "HostVolumes": volumes}
        nomad = servers(settings, {"/v1/nodes": {"status": 200, "body": [node]}}).nomad
        require_cache_offered(nomad, settings)

    return run


def test_a_client_that_offers_the_directory_is_enough(require):
    require({"registry_cache": {"Path": PATH, "ReadOnly": False}})


@pytest.mark.parametrize(
    ("offer", "told"),
    [
        (None, "for writing.\n"),
        ({"Path": "/elsewhere", "ReadOnly": False}, "for writing (nas offers /elsewhere).\n"),
        ({"Path": PATH, "ReadOnly": True}, f"for writing (nas offers {PATH}, read-only).\n"),
    ],
)
def test_without_one_the_stanza_to_add_is_shown(require, offer, told):
    with pytest.raises(CheckError) as caught:
        require({"registry_cache": offer} if offer else {})

    assert f"no Nomad client offers the volume registry_cache of the mirrors at {PATH} {told}" in str(
        caught.value
    )
    assert f'host_volume "registry_cache" {{\n           path      = "{PATH}"' in str(caught.value)
