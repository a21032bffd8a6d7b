import json
import os
from pathlib import Path

import pytest

from jobs.tasks.upgrade_check import main

SCHEMA_1 = {"schemaVersion": 1, "name": "old/app", "tag": "7", "fsLayers": [], "history": []}


@pytest.fixture
def run(images, capsys, waits):
    """Run the script; gives what it found, and its summary."""

    def start():
        assert main({"STORE": str(images.directory)}) == 0
        *found, last = map(json.loads, capsys.readouterr().out.splitlines())
        return found, last["summary"]

    return start


@pytest.fixture
def pushed(images):
    """Push an image as the registry does, which links its layers too."""

    def push(repository, tag, content=None):
        digest = images.manifest(repository, content) if content else images.image(repository, tag)
        images.tag(repository, tag, digest)
        layers(images, repository).mkdir(exist_ok=True)
        return digest

    return push


def layers(images, repository):
    return images.manifests(repository).parent / "_layers"


def data(images, digest):
    value = digest.removeprefix("sha256:")
    return images.root / "blobs" / "sha256" / value[:2] / value / "data"


def test_a_clean_store_has_nothing_but_its_summary(images, pushed, run):
    pushed("ci/app", "1")
    pushed("ci/app", "2")

    found, summary = run()
    assert found == []
    assert (summary["repositories"], summary["manifests"]) == (1, 2)
    assert 0 < summary["free"] < summary["total"]


def test_a_store_without_images_is_clean(images, run):
    images.directory.mkdir()

    found, summary = run()
    assert found == []
    assert summary["manifests"] == 0


def test_an_image_of_schema_1_is_told_with_its_tags(pushed, run):
    digest = pushed("old/app", "7", SCHEMA_1)
    pushed("old/app", "latest", SCHEMA_1)
    pushed("old/app", "new")

    assert run()[0] == [
        {"kind": "schema 1", "repository": "old/app", "digest": digest, "tags": ["7", "latest"]}
    ]


@pytest.mark.parametrize(
    "content",
    [b'{"schemaVersion": 2, "lay', b"[]", b"{}", b'{"schemaVersion": "2"}', 100_000 * b"["],
    ids=lambda content: content[:30].decode(),
)
def test_a_manifest_that_is_none_is_told(images, pushed, run, content):
    digest = pushed("ci/app", "1")
    data(images, digest).write_bytes(content)

    assert run()[0] == [{"kind": "unreadable", "repository": "ci/app", "digest": digest, "tags": ["1"]}]


def test_a_manifest_that_is_not_there_stops_no_version(images, pushed, run):
    data(images, pushed("ci/app", "1")).unlink()

    assert run()[0] == []


def test_empty_blobs_and_links_are_told_by_their_paths(images, pushed, run):
    blob = data(images, pushed("ci/app", "1"))
    link = images.manifests("ci/app") / "tags" / "1" / "current" / "link"
    layer = layers(images, "ci/app") / "sha256" / ("a" * 64) / "link"
    layer.parent.mkdir(parents=True)
    for file in (blob, link, layer):
        file.write_bytes(b"")

    found = run()[0]
    assert {each["kind"] for each in found} == {"empty"}
    assert {images.directory / each["path"] for each in found} == {blob, link, layer}


def test_a_blob_that_is_empty_by_right_and_an_upload_that_begins_are_no_damage(images, pushed, run):
    pushed("ci/app", "1")
    images.blob(b"")
    upload = images.manifests("ci/app").parent / "_uploads" / "u1" / "data"
    upload.parent.mkdir(parents=True)
    upload.touch()

    assert run()[0] == []


def test_a_file_that_is_just_being_written_is_no_damage(images, pushed, run, monkeypatch):
    blob = data(images, pushed("ci/app", "1"))
    content = blob.read_bytes()
    blob.write_bytes(b"")
    monkeypatch.setattr("time.sleep", lambda _: blob.write_bytes(content))

    assert run()[0] == []


def test_a_repository_that_2_x_does_not_see_is_told(images, run):
    images.image("ci/app", "1")

    assert run()[0] == [{"kind": "no layers", "repository": "ci/app"}]


def test_nothing_in_the_store_is_changed(images, pushed, run):
    pushed("old/app", "7", SCHEMA_1)
    data(images, pushed("ci/app", "1")).write_bytes(b"")

    def files():
        every = (Path(folder, name) for folder, _, names in os.walk(images.directory) for name in names)
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in every}

    before = files()
    run()
    assert files() == before


def test_a_store_that_cannot_be_read_is_an_error(tmp_path, capsys):
    (tmp_path / "docker").write_text("")

    assert main({"STORE": str(tmp_path)}) == 1
    assert "cannot read the store" in capsys.readouterr().err
