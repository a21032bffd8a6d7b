import pytest

from checks.errors import CheckError
from checks.pull_volume import require_pull_volume

AUTH = {
    "mode": "vault",
    "grants": {"nodes": {"repositories": {"ci/app": ["pull"]}}},
    "nodes": {"grant": "nodes"},
}


@pytest.fixture
def require(servers, ready):
    def run(volumes):
        settings = ready(sections={"auth": AUTH})
        node = {"Name": "nas", "Status": "ready", "Datacenter": "dc1", "HostVolumes": volumes}
        nomad = servers(settings, {"/v1/nodes": {"status": 200, "body": [node]}}).nomad
        require_pull_volume(nomad, settings)

    return run


def test_a_client_that_offers_the_volume_is_enough(require):
    require({"registry_auth": {"Path": "/opt/auth", "ReadOnly": False}})


def test_without_such_a_client_every_step_on_it_is_named(require):
    with pytest.raises(CheckError) as caught:
        require({})
    told = str(caught.value)
    assert told.startswith("no Nomad client offers the volume registry_auth of docker-registry:auth.nodes.\n")
    assert 'host_volume "registry_auth"' in told
    assert 'auth { config = "/opt/nomad/registry_auth/config.json" }' in told
    assert "echo '{}' > /opt/nomad/registry_auth/config.json" in told


def test_a_volume_that_cannot_be_written_is_refused(require):
    with pytest.raises(CheckError, match="on nas offers the volume registry_auth read-only"):
        require({"registry_auth": {"Path": "/opt/auth", "ReadOnly": True}})
