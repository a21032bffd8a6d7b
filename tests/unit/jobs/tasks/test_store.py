import json

import pytest

from jobs.tasks.store import Manifest, Store, StoreError, Tag, parse


@pytest.fixture
def store(images):
    return Store(images.directory)


def test_an_empty_volume_has_no_repositories(store):
    assert store.repositories() == []


def test_repositories_may_be_inside_of_others(images, store):
    images.image("ci", "v1")
    images.image("ci/app", "v1")
    (images.manifests("ci/app").parent / "_uploads" / "x").mkdir(parents=True)
    (images.manifests("ci/app").parent / "_layers" / "sha256").mkdir(parents=True)

    assert store.repositories() == ["ci", "ci/app"]


def test_a_tag_was_pushed_when_its_link_was_written(images, store):
    digest = images.image("ci/app", "v1", pushed=1_700_000_000)

    found = store.repository("ci/app")
    assert found.tags == (Tag("v1", digest, 1_700_000_000),)
    assert found.manifests == {digest: 1_700_000_000}


def test_what_is_left_of_a_removed_tag_points_at_nothing(images, store):
    images.image("ci/app", "v1")
    (images.manifests("ci/app") / "tags" / "v1" / "current" / "link").unlink()

    assert store.repository("ci/app").tags == (Tag("v1", None, 0),)


def test_a_link_that_is_cut_off_is_an_error_that_names_it(images, store):
    images.image("ci/app", "v1")
    (images.manifests("ci/app") / "tags" / "v1" / "current" / "link").write_text("sha256:0")

    with pytest.raises(StoreError, match=r"tag v1 has no digest in .*/tags/v1/current/link"):
        store.repository("ci/app")


def test_a_manifest_is_not_there_without_its_blob_and_damaged_without_json(images, store):
    digest = images.blob(b"no JSON")

    assert store.manifest("sha256:" + 64 * "0") is None
    assert store.manifest(digest) is None


def test_a_blob_has_its_size_on_the_disk(images, store):
    assert store.size(images.blob(b"12345")) == 5
    assert store.size("sha256:" + 64 * "0") == 0


A, B, C = (f"sha256:{each * 64}" for each in "abc")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"config": {"digest": A}, "layers": [{"digest": B}, {"digest": C}]}, Manifest((A, B, C))),
        ({"manifests": [{"digest": A}, {"digest": B}]}, Manifest((), (A, B))),
        ({"config": {"digest": A}, "layers": [], "subject": {"digest": B}}, Manifest((A,), (), B)),
        ({"schemaVersion": 1, "fsLayers": [{"blobSum": A}, {"blobSum": B}]}, Manifest((A, B))),
    ],
    ids=["image", "index", "referrer", "schema 1"],
)
def test_every_kind_of_manifest_is_read(content, expected):
    assert parse(json.dumps(content).encode()) == expected


def test_go_writes_null_for_what_is_not_there():
    content = {"config": {"digest": A}, "layers": None, "subject": None}

    assert parse(json.dumps(content).encode()) == Manifest((A,))


@pytest.mark.parametrize("digest", ["sha256:../../x", "sha256:" + 63 * "a", "md5:" + 64 * "a", "", None])
@pytest.mark.parametrize("key", ["config", "layers", "manifests", "subject"])
def test_what_is_no_digest_can_be_nowhere_and_is_left_out(images, store, key, digest):
    descriptors = [{"digest": digest}, {"digest": A}, None]
    content = {key: descriptors if key in ("layers", "manifests") else descriptors[0]}

    expected = {"layers": Manifest((A,)), "manifests": Manifest((), (A,))}.get(key, Manifest(()))
    assert store.manifest(images.blob(json.dumps(content).encode())) == expected


@pytest.mark.parametrize(
    "content",
    [{"layers": ["x"]}, {"layers": {}}, {"layers": [{"digest": 7}]}, {"config": {"digest": ["x"]}}],
    ids=str,
)
def test_a_manifest_with_something_else_than_a_descriptor_is_damaged(images, store, content):
    assert store.manifest(images.blob(json.dumps(content).encode())) is None


def test_what_the_registry_does_not_read_of_a_manifest_may_be_anything(images, store):
    content = {"layers": [{"digest": A}], "subject": "x", "manifests": "x", "blobs": 7, "other": [["x"]]}

    assert store.manifest(images.blob(json.dumps(content).encode())) == Manifest((A,))


def test_a_manifest_that_is_nested_too_deeply_is_damaged(images, store):
    nested = b'{"layers": ' + 100_000 * b"[" + 100_000 * b"]" + b"}"

    assert store.manifest(images.blob(nested)) is None


def test_a_removed_tag_leaves_its_manifest_and_the_other_tags(images, store):
    digest = images.image("ci/app", "v1")
    images.tag("ci/app", "v2", digest)

    store.remove_tag("ci/app", "v1")
    found = store.repository("ci/app")
    assert [tag.name for tag in found.tags] == ["v2"]
    assert list(found.manifests) == [digest]


def test_a_removed_manifest_is_in_no_tags_history_and_its_blob_stays(images, store):
    old, new = images.image("ci/app", "v1", "old"), images.image("ci/app", "v1", "new")

    store.remove_manifests("ci/app", [old])
    assert list(store.repository("ci/app").manifests) == [new]
    history = images.manifests("ci/app") / "tags" / "v1" / "index" / "sha256"
    assert [each.name for each in history.iterdir()] == [new.removeprefix("sha256:")]
    assert store.size(old) > 0
