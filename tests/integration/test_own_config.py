"""Unusual keys of the registry's own config.yml that are accepted, beside all that is ours: both versions."""

import httpx
import pytest
from image_store import Store

from devcluster.stack import DEMO_USER, STACK

UNUSUAL = {
    "log": {"level": "error", "formatter": "text", "accesslog": {"disabled": True}},
    "http": {"http2": {"disabled": True}, "draintimeout": "5s"},
    "storage": {"delete": {"enabled": False}, "maintenance": {"uploadpurging": {"enabled": False}}},
    "health": {
        "storagedriver": {"enabled": True, "interval": "1s", "threshold": 1},
        "file": [{"file": "/tmp/ill", "interval": "1s"}],
    },
    "catalog": {"maxentries": 0},
    "policy": {"repository": {"classes": ["image"]}},
    "validation": {"enabled": False, "disabled": True},
}
OF_ONE_VERSION = {
    "registry:2": {"compatibility": {"schema1": {"enabled": True}}},
    "registry:3": {"http": {**UNUSUAL["http"], "h2c": {"enabled": True}}, "tags": {"maxtags": 0}},
}


@pytest.fixture(scope="module", params=sorted(OF_ONE_VERSION))
def registry(deployment, request):
    before = deployment.settings_text()
    deployment.change("registry", image=request.param, config={**UNUSUAL, **OF_ONE_VERSION[request.param]})
    deployment.change("maintenance", garbageCollection={"schedule": "17 4 1 1 *"})  # not beside the tests
    deployment.up()
    deployment.wait_until_served()
    for address in (deployment.address, deployment.tls_address):
        deployment.login(address)
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


def test_unusual_keys_leave_pushes_collections_and_doctor_as_they_were(registry, tmp_path):
    store = Store(registry, tmp_path)
    kept, gone = store.push("own/kept:1", store.layer()), store.push("own/gone:1", store.layer())
    registry.remove_repositories("own/gone")

    collected = registry.run("python", "-m", "ops", "gc", "--follow", "--stack", STACK)
    found = registry.doctor("--write")

    assert f"blob eligible for deletion: {gone}" in collected
    assert store.has("own/kept", kept)
    assert [each for each in found.values() if each["state"] == "failure"] == []
    assert "cannot be deleted (405)" in found["image-moves"]["what"]
    assert registry.changes() == {}
    store.client.close()


@pytest.fixture
def many(registry):
    """A folder for repositories where there is no other; all go afterwards, since they are root's."""
    registry.remove_repositories("")
    yield registry.cluster.instance.registry_volume / "docker/registry/v2/repositories/many"
    registry.remove_repositories("")


def test_lists_have_as_many_entries_as_the_documents_say(registry, many):
    for number in range(101):
        for folder in ("_layers", "_manifests/tags"):
            (many / f"{number:03}" / folder).mkdir(parents=True)
    for number in range(1002):
        (many / f"000/_manifests/tags/{number:04}").mkdir(parents=True)
    is_2 = registry.section("registry")["image"] == "registry:2"

    with httpx.Client(
        base_url=f"http://{registry.address}/v2", auth=(DEMO_USER, registry.password)
    ) as client:
        first, more = client.get("/_catalog"), client.get("/_catalog", params={"n": 1000})
        tags, some = client.get("/many/000/tags/list"), client.get("/many/000/tags/list", params={"n": 5})
        too_many = client.get("/_catalog", params={"n": 1001}).status_code

    assert (len(first.json()["repositories"]), "Link" in first.headers) == (100, True)
    assert (len(more.json()["repositories"]), "Link" in more.headers, too_many) == (101, False, 400)
    assert (len(tags.json()["tags"]), "Link" in tags.headers) == (1002, False)
    assert (len(some.json()["tags"]), "Link" in some.headers) == ((1002, False) if is_2 else (5, True))
