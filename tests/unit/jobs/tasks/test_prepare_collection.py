import os
import shutil
from pathlib import Path

import pytest

from jobs.tasks import check_collection
from jobs.tasks.prepare_collection import main

SCHEMA_1 = {"schemaVersion": 1, "name": "old/app", "tag": "7", "fsLayers": [], "history": []}


@pytest.fixture
def run(images, tmp_path, capsys):
    """Prepare a run; gives the exit code and what was printed. The registry is frozen."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frozen").touch()

    def start(**environment):
        code = main(
            {
                "STORE": str(images.directory),
                "VERSION": "3",
                "DELETE_UNTAGGED": "false",
                "NOMAD_ALLOC_DIR": str(tmp_path),
                **environment,
            }
        )
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return start


@pytest.fixture
def dry_run(run, shadow):
    return lambda **environment: run(SHADOW=str(shadow), **environment)


@pytest.fixture
def shadow(tmp_path):
    return tmp_path / "shadow"


@pytest.fixture
def pushed(images):
    """Push an image as the registry does, which makes the directory of the layers too."""

    def push(name="ci/app", tag="1", content=None):
        digest = images.manifest(name, content) if content else images.manifest(name, [f"{name}:{tag}"])
        if tag:
            images.tag(name, tag, digest)
        layers(images, name).mkdir(exist_ok=True)
        return digest

    return push


def layers(images, name="ci/app"):
    return images.manifests(name).parent / "_layers"


def data(images, digest):
    value = digest.removeprefix("sha256:")
    return images.root / "blobs" / "sha256" / value[:2] / value / "data"


def tree(directory):
    """Every path below a directory, links followed."""
    return {
        str(Path(folder, name).relative_to(directory))
        for folder, folders, names in os.walk(directory, followlinks=True)
        for name in (*folders, *names)
    }


def test_a_store_in_which_nothing_is_missing_is_left_alone(images, pushed, run):
    pushed()
    before = tree(images.directory)

    assert run() == (0, "")
    assert tree(images.directory) == before


def test_a_repository_without_layers_gets_the_directory_and_its_name_is_told(images, pushed, run):
    pushed("ci/app")
    images.image("ci/deep/er", "1")

    assert run() == (0, "made the missing directory repositories/ci/deep/er/_layers\n")
    assert [*layers(images, "ci/deep/er").iterdir()] == []


def test_a_store_without_anything_gets_what_the_collection_walks_over(images, run):
    images.directory.mkdir()

    assert run()[0] == 0
    assert {each.name for each in images.root.iterdir()} == {"blobs", "repositories"}


def test_a_dry_run_gets_them_in_a_shadow_of_the_store_which_stays_as_it_was(images, pushed, dry_run, shadow):
    pushed("ci/app")
    images.image("ci/deep/er", "1")
    before = tree(images.directory)

    code, printed = dry_run()

    missing = "docker/registry/v2/repositories/ci/deep/er/_layers"
    assert (code, printed) == (
        0,
        "a run makes the missing directory repositories/ci/deep/er/_layers\n",
    )
    assert tree(shadow) == before | {missing}
    assert (shadow / missing).is_dir()
    assert tree(images.directory) == before


def test_the_shadow_of_an_empty_store_has_what_the_collection_walks_over(images, dry_run, shadow):
    images.directory.mkdir()

    assert dry_run()[0] == 0
    root = shadow / "docker" / "registry" / "v2"
    assert {each.name for each in root.iterdir()} == {"blobs", "repositories"}
    assert [*images.directory.iterdir()] == []


def test_a_shadow_that_lacks_nothing_is_one_link(images, pushed, dry_run, shadow):
    pushed()

    assert dry_run()[0] == 0
    assert shadow.readlink() == images.directory


@pytest.mark.parametrize("start", ["run", "dry_run"])
def test_what_the_collection_would_stop_at_is_named_with_the_mend_and_nothing_is_done(
    images, pushed, request, start
):
    digest = pushed("old/app", "7", SCHEMA_1)
    images.image("ci/app", "1")
    before = tree(images.directory)

    code, printed = request.getfixturevalue(start)()

    assert code == 1
    assert f"old/app:7 ({digest}) is of schema 1\n" in printed
    assert 'docs/operations.md, "Mending the store"' in printed
    assert tree(images.directory) == before


def test_what_it_would_stop_at_is_named_before_the_freeze_too(images, pushed, tmp_path, capsys):
    environment = {"STORE": str(images.directory), "VERSION": "3", "DELETE_UNTAGGED": "false"}
    pushed("ci/app", "1")
    (tmp_path / "data").mkdir()
    done = tmp_path / "data" / "check-collection"

    assert check_collection.main({**environment, "NOMAD_ALLOC_DIR": str(tmp_path)}) == 0
    assert done.exists()

    done.unlink()
    digest = pushed("old/app", "7", SCHEMA_1)
    assert check_collection.main({**environment, "NOMAD_ALLOC_DIR": str(tmp_path)}) == 1
    assert f"old/app:7 ({digest}) is of schema 1\n" in capsys.readouterr().err
    assert not done.exists()


def test_a_link_or_a_pipe_in_the_store_is_named(images, pushed, run):
    link, pipe = images.manifests("ci/app") / "tags/1/current/link", images.data(pushed())
    for path in (link, pipe):
        path.unlink()
    link.symlink_to("/secrets/vault_token")
    os.mkfifo(pipe)

    code, printed = run()
    assert code == 1
    for path in (link, pipe):
        assert f"{path} is neither a file nor a directory\n" in printed


def test_2_x_reads_images_of_schema_1(pushed, run):
    pushed("old/app", "7", SCHEMA_1)

    assert run(VERSION="2") == (0, "")


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_manifest_that_is_damaged_is_named(images, pushed, run, version):
    damage = {
        b"": "is empty",
        b"{": "is no manifest",
        b'{"schemaVersion": 2, "mediaType": "x"}': "is no manifest",
    }
    digest = pushed("ci/app", "1")
    for content, what in damage.items():
        data(images, digest).write_bytes(content)

        code, printed = run(VERSION=version)

        assert code == 1
        assert f"ci/app:1 ({digest}) {what}" in printed


def test_a_manifest_or_a_layer_that_is_not_there_stops_nothing(images, pushed, run):
    data(images, pushed("ci/app", "1")).unlink()
    shutil.rmtree(data(images, images.blob(b"ci/base:1")).parent)

    assert run() == (0, "")


def test_with_delete_untagged_only_what_stays_is_read(images, pushed, run):
    pushed("ci/app", None, SCHEMA_1)
    assert run()[0] == 1
    assert run(DELETE_UNTAGGED="true") == (0, "")

    child = pushed("ci/multi", None, SCHEMA_1)
    images.tag("ci/multi", "1", images.index("ci/multi", child))
    assert f"ci/multi ({child}) is of schema 1" in run(DELETE_UNTAGGED="true")[1]


@pytest.mark.parametrize(
    ("link", "read"),
    [
        ("_manifests/revisions/sha256/*/link", {"2": True, "3": True, "3 with deleteUntagged": True}),
        ("_manifests/tags/1/current/link", {"2": False, "3": False, "3 with deleteUntagged": True}),
        ("_layers/sha256/*/link", {"2": False, "3": True, "3 with deleteUntagged": True}),
    ],
)
def test_an_empty_link_is_named_where_the_collection_reads_it(images, pushed, run, link, read):
    pushed("ci/app", "1")
    layer = layers(images) / "sha256" / ("a" * 64) / "link"
    layer.parent.mkdir(parents=True)
    layer.write_text("sha256:" + "a" * 64)
    (file,) = layers(images).parent.glob(link)
    file.write_text("")

    for how, stops in read.items():
        untagged = "true" if "deleteUntagged" in how else "false"
        code, printed = run(VERSION=how[0], DELETE_UNTAGGED=untagged)
        assert (code == 1, str(file) in printed) == (stops, stops), how


@pytest.fixture
def alias(images, pushed):
    """An image with a layer that was pushed by its sha512; that digest."""
    made = images.by_sha512("ci/app", b"layer")
    pushed("ci/app", "2", {"schemaVersion": 2, "layers": [{"digest": made}]})
    return made


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_layer_that_was_pushed_by_another_digest_is_kept_by_that_too(images, alias, run, version):
    assert run(VERSION=version) == (0, "")

    kept, own = images.data(images.blob(b"layer")), images.data(alias)
    assert (own.read_bytes(), own.stat().st_ino) == (b"layer", kept.stat().st_ino)
    link = layers(images) / alias.replace(":", "/") / "link"
    assert link.read_text() == alias
    assert [*link.parent.iterdir()] == [link]
    assert run(VERSION=version) == (0, "")


def test_a_dry_run_has_it_in_the_shadow_alone(images, alias, dry_run, shadow):
    before = tree(images.directory)

    assert dry_run() == (0, "")

    assert tree(images.directory) == before
    root = shadow / "docker/registry/v2"
    assert (root / images.data(alias).relative_to(images.root)).read_bytes() == b"layer"
    link = layers(images) / alias.replace(":", "/") / "link"
    assert (root / link.relative_to(images.root)).read_text() == alias
    assert link.read_text() == images.blob(b"layer")


def test_of_a_layer_by_another_digest_whose_content_is_gone_nothing_is_made(images, alias, run):
    images.data(images.blob(b"layer")).unlink()

    assert run() == (0, "")
    assert not images.data(alias).exists()


def test_a_run_waits_for_the_task_before_it(images, pushed, run, tmp_path, monkeypatch):
    pushed()
    shutil.rmtree(layers(images))
    done = tmp_path / "data" / "retention"
    waited = []

    def sleep(seconds):
        assert not layers(images).exists()
        waited.append(seconds)
        done.touch()

    monkeypatch.setattr("time.sleep", sleep)

    assert run(AFTER="retention")[0] == 0
    assert len(waited) == 1


def test_a_store_that_cannot_be_written_is_an_error(images, run, monkeypatch):
    images.image("ci/app", "1")

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.mkdir", refuse)

    code, printed = run()
    assert code == 1
    assert "Read-only file system" in printed
