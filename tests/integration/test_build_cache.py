"""BuildKit's cache with `image-manifest=false`: an index whose children are layers, and no manifests."""

import hashlib
import json
import os

import httpx
import pytest
from image_store import INDEX, LAYER, MIB, Store
from waiting import until

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
MAINTENANCE = {
    "garbageCollection": {"schedule": "17 4 1 1 *", "deleteUntagged": True},  # not beside the tests
    "backup": {"schedule": "17 2 1 1 *", "drill": "17 3 1 1 *"},
}
REPOSITORY = "build/cache"


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("maintenance", **MAINTENANCE)
    deployment.up()
    deployment.wait_until_served()
    deployment.login(deployment.address)
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture
def store(registry, tmp_path):
    made = Store(registry, tmp_path)
    yield made
    made.client.close()


def ops(registry, *arguments, check=True):
    return registry.run("python", "-m", "ops", *arguments, "--stack", "dev", check=check)


def push_blob(store, content, kind):
    """Push a blob as BuildKit does; its descriptor."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    upload = store.client.post(f"/{REPOSITORY}/blobs/uploads/").headers["Location"].removeprefix("/v2")
    store.client.put(f"{upload}&digest={digest}", content=content).raise_for_status()
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def push_index(store, tag, children):
    """Push the index, having asked for each child, as BuildKit does before it leaves out a push."""
    for each in children:
        assert store.client.head(f"/{REPOSITORY}/blobs/{each['digest']}").status_code == 200
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
    headers = {"Content-Type": INDEX}
    return store.client.put(f"/{REPOSITORY}/manifests/{tag}", content=text, headers=headers)


@pytest.fixture
def cache(store):
    """A cache of a small layer, and of one that is bigger than the memory of what reads the store."""
    small, config = (push_blob(store, os.urandom(1000), kind) for kind in (LAYER, CONFIG))
    children = [small, store.big_layer(REPOSITORY, 300 * MIB), config]
    assert push_index(store, "latest", children).status_code == 201
    yield children
    store.registry.remove_repositories("build")


def test_a_cache_is_counted_by_its_layers_and_stands_in_the_way_of_nothing(registry, store, cache):
    told = json.loads(ops(registry, "report", "--json"))

    [found] = [each for each in told["repositories"] if each["repository"] == REPOSITORY]
    index = len(store.client.get(f"/{REPOSITORY}/manifests/latest").content)
    assert found["bytes"] == found["tags"][0]["bytes"] == index + sum(each["size"] for each in cache)
    upgrade = json.loads(ops(registry, "upgrade-check", "--json"))
    assert not [each for each in upgrade["findings"] if REPOSITORY in each["what"]]


def test_a_collection_keeps_every_layer_of_a_cache(registry, store, cache):
    ops(registry, "gc")

    registry.wait_until_writable()
    for each in cache:
        assert store.client.head(f"/{REPOSITORY}/blobs/{each['digest']}").status_code == 200


def test_a_lost_layer_of_a_cache_is_found_by_the_drill_and_by_the_doctor(registry, store, cache):
    ops(registry, "backup", "now")
    assert "can be restored" in ops(registry, "backup", "verify")

    store.data(cache[0]["digest"]).unlink()
    ops(registry, "backup", "now")
    told = ops(registry, "backup", "verify", check=False)
    assert f"{REPOSITORY}: the manifest " in told
    assert f"needs {cache[0]['digest']}, which is not there" in told
    assert f"{REPOSITORY}:latest lacks {cache[0]['digest']}" in ops(registry, "doctor", check=False)
    url = f"{registry.cluster.consul_address}/v1/health/checks/registry-drill"
    until(lambda: [each for each in httpx.get(url).json() if each["Status"] == "critical"])


def test_without_a_cache_of_its_own_the_registry_refuses_such_an_index(registry, store):
    """It looks for a child among the manifests, and finds a layer only in what it remembers of blobs."""
    before = registry.settings_text()
    registry.change("registry", config={"storage": {"cache": None}})
    try:
        registry.up()
        registry.wait_until_writable()
        layer, config = (push_blob(store, os.urandom(1000), kind) for kind in (LAYER, CONFIG))

        answer = push_index(store, "refused", [layer, config])
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
    finally:
        registry.restore(before)
        registry.up()
        registry.wait_until_writable()
        registry.remove_repositories("build")
