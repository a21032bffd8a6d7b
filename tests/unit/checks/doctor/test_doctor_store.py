import hashlib
import json
import os
import shutil

import pytest

from checks.doctor.store import no_dangling_links, no_empty_files, store_owner


class Store:
    """A store with images, laid out as distribution does it."""

    def __init__(self, directory):
        self.directory, self.root = directory, directory / "docker/registry/v2"
        self.root.mkdir(parents=True)

    def put(self, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.data(digest).parent.mkdir(parents=True, exist_ok=True)
        self.data(digest).write_bytes(content)
        return digest

    def data(self, digest):
        value = digest.removeprefix("sha256:")
        return self.root / "blobs/sha256" / value[:2] / value / "data"

    def home(self, name):
        return self.root / "repositories" / name / "_manifests"

    def image(self, name, tag):
        """Put an image of one layer; the digests of its manifest and its layer."""
        layer, config = self.put(f"layer of {name}:{tag}".encode()), self.put(b"{}")
        parts = {"config": {"digest": config}, "layers": [{"digest": layer}]}
        manifest = self.put(json.dumps({"schemaVersion": 2, **parts}).encode())
        for folder in (f"revisions/{manifest.replace(':', '/')}", f"tags/{tag}/current"):
            (self.home(name) / folder).mkdir(parents=True)
            (self.home(name) / folder / "link").write_text(manifest)
        return manifest, layer


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    made.image("ci/app", "1")
    return made


@pytest.fixture
def found_in(look, store):
    def run(check, **sections):
        owner = {"uid": os.getuid(), "gid": os.getgid()}
        storage = {"storage": {"path": str(store.directory), "owner": owner}}
        return look(check, sections={**storage, **sections})

    return run


def test_a_store_that_is_whole_is_ok(found_in):
    for check in (store_owner, no_empty_files, no_dangling_links):
        assert found_in(check).state == "ok", check


def test_files_of_somebody_else_are_counted_and_given_to_the_registry(found_in, store):
    owner = {"uid": 4321, "gid": 4321}

    found = found_in(store_owner, storage={"path": str(store.directory), "owner": owner})

    assert found.state == "failure"
    assert "not of user 4321" in found.what
    assert found.fix == f"chown -R 4321:4321 {store.directory}"


def test_an_empty_blob_is_removed_and_forgotten_before_the_image_is_pushed_again(
    found_in, store, monkeypatch
):
    monkeypatch.setattr("jobs.tasks.upgrade_check._PAUSE_SECONDS", 0)
    _, layer = store.image("ci/app", "2")
    store.data(layer).write_bytes(b"")

    found = found_in(no_empty_files)

    assert found.state == "failure"
    removed, restarted, _ = found.fix.splitlines()
    assert removed == f"rm {store.data(layer)}"
    assert restarted.startswith("nomad alloc restart -address=http://127.0.0.1:4646 -namespace=default ")


def test_many_empty_files_are_removed_by_one_command(found_in, store, monkeypatch):
    monkeypatch.setattr("jobs.tasks.upgrade_check._PAUSE_SECONDS", 0)
    for number in range(5):
        store.data(store.put(f"{number}".encode())).write_bytes(b"")

    found = found_in(no_empty_files)

    assert found.what.startswith("5 empty: ") and found.what.endswith(" and 2 more")
    assert found.fix.startswith(f"find {store.root} ")


def test_a_tag_that_points_at_nothing_is_removed(found_in, store):
    manifest, _ = store.image("ci/app", "2")
    shutil.rmtree(store.home("ci/app") / "revisions" / manifest.replace(":", "/"))

    found = found_in(no_dangling_links)

    assert (found.state, found.what) == ("failure", "tag ci/app:2 points at nothing")
    assert found.fix == f"rm -r {store.home('ci/app')}/tags/2"


def test_an_image_without_its_manifest_is_removed_with_its_tags(found_in, store):
    manifest, _ = store.image("ci/app", "2")
    store.data(manifest).unlink()

    found = found_in(no_dangling_links)

    assert f"ci/app@{manifest} points at nothing" in found.what
    home = store.home("ci/app")
    assert found.fix.splitlines() == [
        f"rm -r {home}/tags/2",
        f"rm -r {home}/revisions/{manifest.replace(':', '/')}",
    ]


def test_an_image_that_lacks_a_layer_is_to_be_pushed_again_or_restored(found_in, store):
    _, layer = store.image("ci/app", "2")
    store.data(layer).unlink()

    found = found_in(no_dangling_links)

    assert found.what == f"ci/app:2 lacks {layer}"
    assert "alloc restart" in found.fix and "`docker push` it again" in found.fix
    backed_up = found_in(no_dangling_links, maintenance={"backup": {}})
    assert "python -m ops restore latest --repository NAME --stack dev" in backed_up.fix


def test_a_layer_pushed_by_its_sha512_and_a_platform_never_pushed_are_not_missing(found_in, store):
    alias = hashlib.sha512(b"layer").hexdigest()
    link = store.home("ci/app").parent / "_layers" / "sha512" / alias / "link"
    link.parent.mkdir(parents=True)
    link.write_text(store.put(b"layer"))
    for key, digest in (("layers", f"sha512:{alias}"), ("manifests", f"sha256:{64 * '0'}")):
        manifest = store.put(json.dumps({"schemaVersion": 2, key: [{"digest": digest}]}).encode())
        revision = store.home("ci/app") / "revisions" / manifest.replace(":", "/")
        revision.mkdir()
        (revision / "link").write_text(manifest)

    assert found_in(no_dangling_links).state == "ok"


def test_a_store_that_is_not_here_is_not_looked_at(found_in, store):
    shutil.rmtree(store.directory)

    assert found_in(no_empty_files).state == "not looked at"
