import hashlib
import io
import json
import tarfile
import time

import pytest

from jobs.tasks.blob_check import ROOT, check, files_below, files_of_tar, listed, manifests_in, tags_in


@pytest.fixture
def found(images):
    def read():
        manifests = manifests_in(files_below(images.root, "repositories"))
        return check(files_below(images.root), manifests)

    return read


def path_of(images, digest):
    value = digest.removeprefix("sha256:")
    return images.root / "blobs" / "sha256" / value[:2] / value / "data"


def test_a_good_store_is_counted_and_has_no_problems(images, found):
    app, other = images.image("ci/app", "v1", "layer"), images.image("base", "latest", "other")
    images.tag("ci/app", "latest", images.index("ci/app", app))

    checked = found()
    assert checked.problems == []
    assert (checked.blobs, checked.manifests) == (6, 3)
    assert checked.tags["base"] == {"latest": other}
    assert str(checked) == "6 blobs of 566 B, 3 manifests, 3 tags"


def test_an_empty_store_has_no_problems(found):
    assert str(found()) == "0 blobs of 0 B, 0 manifests, 0 tags"


def test_a_blob_with_other_content_than_its_name_says_is_found(images, found):
    images.image("ci/app", "v1")
    blob = images.blob(b"layer")
    path_of(images, blob).write_bytes(b"rotten")

    (problem,) = found().problems
    assert problem.startswith(f"blob {blob} has other content: its digest is sha256:")


def test_a_layer_that_a_manifest_needs_and_that_is_lost_is_found(images, found):
    manifest, layer = images.image("ci/app", "v1", "layer"), images.blob(b"layer")
    path_of(images, layer).unlink()

    assert found().problems == [f"ci/app: the manifest {manifest} needs {layer}, which is not there"]


def test_a_child_that_an_index_needs_and_that_is_lost_is_found(images, found):
    child = images.manifest("ci/app", ["layer"])
    index = images.index("ci/app", child)
    path_of(images, child).unlink()

    assert found().problems == [
        f"ci/app: the manifest {digest} {words}"
        for digest, words in sorted([(child, "is not there"), (index, f"needs {child}, which is not there")])
    ]


def test_a_child_of_an_index_that_was_never_pushed_need_not_be_there(images, found):
    images.index("ci/app", images.manifest("ci/app", ["layer"]), "sha256:" + 64 * "0")

    assert found().problems == []


def test_a_layer_that_was_pushed_by_its_sha512_is_found_by_its_link(images, found):
    alias = images.by_sha512("ci/app", b"layer")
    digest = images.manifest("ci/app", {"schemaVersion": 2, "layers": [{"digest": alias}]})
    elsewhere = images.manifest("other", {"schemaVersion": 2, "layers": [{"digest": alias}]})

    assert found().problems == [f"other: the manifest {elsewhere} needs {alias}, which is not there"]
    path_of(images, images.blob(b"layer")).unlink()
    assert f"ci/app: the manifest {digest} needs {alias}, which is not there" in found().problems


@pytest.mark.parametrize("algorithm", ["blake3", "shake_128", "md5", "nonsense"])
def test_a_blob_by_an_algorithm_that_the_registry_does_not_know_is_damage(images, found, algorithm):
    blob = images.root / "blobs" / algorithm / "aa" / "aa11" / "data"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"layer")

    digest = f"sha256:{hashlib.sha256(b'layer').hexdigest()}"
    assert found().problems == [f"blob {algorithm}:aa11 has other content: its digest is {digest}"]


def test_a_tag_of_a_manifest_that_the_repository_does_not_have_is_found(images, found):
    elsewhere = images.image("base", "v1")
    images.tag("ci/app", "v1", elsewhere)

    assert found().problems == [f"ci/app:v1 is {elsewhere}, which is not there"]


def test_a_layer_that_clients_fetch_elsewhere_need_not_be_there(images, found):
    away = {"digest": "sha256:" + 64 * "0", "urls": ["https://example.com/layer"]}
    images.manifest("windows", {"schemaVersion": 2, "layers": [away]})

    assert found().problems == []


NAMED = b'{"schemaVersion": 2, "config": {"digest": "sha256:%s"}}' % (64 * b"a")
NO_TEXT = {"digest": {}, "urls": ["https://example.com/layer"]}


def test_a_blob_that_looks_like_a_manifest_is_only_a_blob(images, found):
    images.blob(NAMED)

    assert found().problems == []


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"schemaVersion": 2, "layers": [NO_TEXT]}),
        '{"schemaVersion": 2, "x": ' + 9000 * "[" + 9000 * "]" + "}",
    ],
    ids=["digest that is no text", "nested deeply"],
)
def test_an_odd_manifest_does_not_end_the_check(images, found, content):
    odd, good = images.blob(content.encode()), images.image("ci/app", "v1", "layer")
    link = images.manifests("ci/app") / "revisions" / odd.replace(":", "/") / "link"
    link.parent.mkdir()
    link.write_text(odd)
    path_of(images, layer := images.blob(b"layer")).unlink()

    assert found().problems == [f"ci/app: the manifest {good} needs {layer}, which is not there"]


def test_a_manifest_of_many_layers_is_read_in_an_instant(images, found):
    layers = [{"digest": f"sha256:{number:064x}", "urls": ["https://x"]} for number in range(20_000)]
    images.manifest("windows", {"schemaVersion": 2, "layers": layers})

    started = time.process_time()
    assert found().problems == []
    assert time.process_time() - started < 5, "quadratic"


def test_a_subject_need_not_be_there(images, found):
    images.referrer("ci/app", "sha256:" + 64 * "0", "SBOM")

    assert found().problems == []


def test_an_archive_is_checked_as_it_comes(images):
    images.image("ci/app", "v1")
    images.blob(b"x" * 3_000_000)  # longer than one read
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as written:
        written.add(images.root, ROOT)
    archive.seek(0)

    checked = check(files_of_tar(archive), set())
    assert checked.problems == []
    assert (checked.blobs, checked.tags.keys()) == (4, {"ci/app"})


def test_tags_alone_are_read_without_the_blobs(images):
    digest = images.image("ci/app", "v1")

    assert tags_in(files_below(images.root, "repositories")) == {"ci/app": {"v1": digest}}


def test_many_problems_are_told_by_the_first_of_them_and_their_number():
    told = listed([f"problem {number}" for number in range(25)]).splitlines()

    assert (told[0], told[-1], len(told)) == ("  problem 0", "  and 5 more", 21)
