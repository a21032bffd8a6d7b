import hashlib
import json

import pytest

from jobs.tasks.scan_layout import layout
from jobs.tasks.scan_targets import Target
from jobs.tasks.store import Store

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def store(images):
    return Store(images.directory)


@pytest.fixture
def image(images):
    digest = images.image("app", "1", "one", "two")
    return Target(repository="app", tag="1", digest=digest, media_type=DOCKER)


def test_a_layout_has_the_image_with_all_its_blobs_as_files(store, image, images, tmp_path):
    with layout(tmp_path / "layout", store, image) as folder:
        assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        (listed,) = json.loads((folder / "index.json").read_text())["manifests"]
        assert listed == {"mediaType": DOCKER, "digest": image.digest, "size": store.size(image.digest)}
        for digest in (image.digest, images.blob(b"{}"), images.blob(b"one"), images.blob(b"two")):
            blob = folder / "blobs" / digest.replace(":", "/")
            assert not blob.is_symlink()
            assert blob.read_bytes() == images.data(digest).read_bytes()


def test_a_layer_that_was_pushed_by_its_sha512_is_laid_out_by_its_sha256(store, images, tmp_path):
    alias = images.by_sha512("app", b"layer")
    digest = images.manifest("app", {"schemaVersion": 2, "layers": [{"digest": alias}]})
    image = Target(repository="app", tag="1", digest=digest, media_type=DOCKER)

    with layout(tmp_path / "layout", store, image) as folder:
        (listed,) = json.loads((folder / "index.json").read_text())["manifests"]
        manifest = (folder / "blobs" / listed["digest"].replace(":", "/")).read_bytes()
        assert listed["digest"] == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        assert listed["size"] == len(manifest)
        (layer,) = json.loads(manifest)["layers"]
        assert layer["digest"] == images.blob(b"layer")
        assert (folder / "blobs" / layer["digest"].replace(":", "/")).read_bytes() == b"layer"


def test_nothing_is_left_of_it_even_if_a_blob_has_gone(store, image, images, tmp_path):
    with layout(tmp_path / "layout", store, image):
        pass
    assert not (tmp_path / "layout").exists()

    images.data(images.blob(b"two")).unlink()
    with pytest.raises(FileNotFoundError), layout(tmp_path / "layout", store, image):
        pass
    assert not (tmp_path / "layout").exists()
