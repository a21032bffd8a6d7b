"""`ops upgrade-check` on a stack that runs 2.x: it names what 3.x stumbles over, and changes nothing."""

import hashlib
import io
import json
import os
import shutil
import tarfile

import httpx
import pytest
from documents import block

from devcluster import storage_tools

PAGE = "docs/operations.md"
CHECK = block(PAGE, "python -m ops upgrade-check registry:3").text


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.restore(before.replace("registry:3", "registry:2"))
    deployment.up()
    deployment.wait_until_served()
    yield deployment
    deployment.restore(before)
    deployment.up()


@pytest.fixture(scope="module")
def client(registry):
    url = f"http://{registry.address}"
    with httpx.Client(base_url=url, auth=("demo", registry.password), timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def root(registry):
    return registry.cluster.instance.registry_volume / "docker/registry/v2"


def push(client, repository, content):
    """Push a layer; its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    upload = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status().headers["Location"]
    client.put(f"{upload}&digest={digest}", content=content).raise_for_status()
    return digest


def compressed_tar(content):
    """A layer with one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as made:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        made.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def own(root, *paths):
    """Give paths to whom the store belongs."""
    owner = root.stat()
    for each in paths:
        os.chown(each, owner.st_uid, owner.st_gid)


def blob(root, digest):
    value = digest.removeprefix("sha256:")
    return root / "blobs/sha256" / value[:2] / value / "data"


def check(registry, *arguments, ready):
    return registry.run("python", "-m", "ops", "upgrade-check", *arguments, "--stack", "dev", check=ready)


def jobs(registry):
    return {job["ID"] for job in httpx.get(f"{registry.cluster.nomad_address}/v1/jobs").json()}


@pytest.fixture(scope="module")
def schema_1(client, root):
    """An image of 2016, as a store has it that has grown up since then."""
    layer = push(client, "old/app", compressed_tar(b"a file of 2016"))
    config = {"id": "1" * 64, "created": "2016-01-01T00:00:00Z", "architecture": "amd64", "os": "linux"}
    text = json.dumps(
        {
            "schemaVersion": 1,
            "name": "old/app",
            "tag": "7",
            "architecture": "amd64",
            "fsLayers": [{"blobSum": layer}],
            "history": [{"v1Compatibility": json.dumps(config)}],
        }
    ).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    blob(root, digest).parent.mkdir(parents=True)
    blob(root, digest).write_bytes(text)
    home = root / "repositories/old/app/_manifests"
    value = digest.replace(":", "/")
    for folder in (f"revisions/{value}", f"tags/7/index/{value}", "tags/7/current"):
        (home / folder).mkdir(parents=True)
        (home / folder / "link").write_text(digest)
    # All of it is the registry's, which stores nothing in a folder of root's. The one below `blobs` is shared
    # by every digest that begins with the same byte: one push in 256 ended with 500.
    own(root, home, *home.rglob("*"), *[blob(root, digest), *blob(root, digest).parents][:3])
    assert all(each.stat().st_uid == root.stat().st_uid for each in (root / "blobs").rglob("*"))
    yield digest
    shutil.rmtree(home)
    shutil.rmtree(blob(root, digest).parent)


def test_a_clean_store_is_ready_and_nothing_is_left_of_the_check(registry, client):
    push(client, "new/app", b"a layer of today")
    before, allocation = jobs(registry), registry.allocation()

    told = registry.shell(CHECK)
    assert "from registry:2 (2.x) to registry:3 (3.x)" in told
    assert "nothing stands in the way" in told
    assert jobs(registry) == before
    assert registry.allocation() == allocation


def test_an_empty_blob_is_named_until_it_is_mended_as_operations_md_says(registry, client, root):
    content = b"a layer that a crash will empty"
    file = blob(root, push(client, "new/app", content))
    file.write_bytes(b"")
    told = check(registry, ready=False)
    assert f"store: {file.relative_to(root.parents[2])} is empty" in told

    removal = block(PAGE, "rm /volume1/nomad/volumes/registry_data/docker/registry/v2/blobs/sha256/…/data")
    registry.shell(removal.text, replace={"…/data": file.relative_to(root / "blobs/sha256")})
    registry.wait_until_served()
    push(client, "new/app", content)

    assert file.read_bytes() == content
    assert "nothing stands in the way" in check(registry, ready=True)


def test_settings_that_3_x_refuses_are_named_before_the_upgrade(registry):
    before = registry.settings_text()
    config = {"compatibility": {"schema1": {"enabled": True}}}
    registry.change("registry", config={**registry.section("registry").get("config", {}), **config})
    try:
        told = check(registry, ready=False)
        assert "docker-registry:registry.config.compatibility: removed in 3.0" in told
    finally:
        registry.restore(before)


def test_an_image_of_schema_1_is_named_and_converted_for_3_x_which_cannot_serve_it(
    registry, client, schema_1, tmp_path
):
    assert client.get("/v2/old/app/manifests/7").status_code == 200

    told = json.loads(check(registry, "--json", ready=False))
    assert not told["ready"]
    [finding] = told["findings"]
    assert finding["what"].startswith(f"old/app:7 ({schema_1}) is of schema 1: 3.x cannot serve it")
    assert "nothing stands in the way" in check(registry, "registry:2", ready=True)

    storage_tools.ensure()
    login, copy = block(PAGE, "skopeo login registry.homelab.local").commands
    env = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    # It reads a password from a terminal only.
    registry.shell(f"script -qec '{login}' /dev/null", text=f"demo\n{registry.password}\n", env=env)
    registry.shell(copy, env=env)

    backup, *upgrade = block(PAGE, "python -m ops backup now", under="Upgrades").commands
    assert backup == block(PAGE, "python -m ops backup now", under="Backup and restore").commands[0]
    for command in upgrade:
        registry.shell(command)
    registry.wait_until_served()
    converted = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    assert client.get("/v2/old/app/manifests/7", headers=converted).json()["schemaVersion"] == 2
    refused = client.get(f"/v2/old/app/manifests/{schema_1}")
    assert refused.status_code == 500
    assert "schema version 1" in refused.text
    assert client.delete(f"/v2/old/app/manifests/{schema_1}").status_code == 202
    assert "nothing stands in the way" in registry.shell(CHECK)
