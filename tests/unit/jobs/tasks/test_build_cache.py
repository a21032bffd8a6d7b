"""BuildKit's cache as an index of layers: what is a manifest goes by its media type, everywhere."""

import json

import pytest

from jobs.tasks import report
from jobs.tasks.blob_check import check, files_below, manifests_in
from jobs.tasks.cache import Cache
from jobs.tasks.eviction_plan import evict
from jobs.tasks.retention_plan import plan
from jobs.tasks.retention_rules import Rule
from jobs.tasks.scan_targets import targets
from jobs.tasks.store import Store, parse
from jobs.tasks.store_size import blob_sizes

INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.buildkit.cacheconfig.v0"
MANIFESTS = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    INDEX,
]


def index(*children):
    described = [{"mediaType": kind, "digest": digest} for kind, digest in children]
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": described}


@pytest.fixture
def parts(images):
    """A cache under a tag; its layer and its configuration, which looks like a manifest."""
    layer = images.blob(b"layer of a cache" * 1000)
    config = images.blob(json.dumps({"schemaVersion": 2, "layers": [{"digest": "sha256:none"}]}).encode())
    pushed = images.manifest("cache", index((LAYER, layer), (CONFIG, config)))
    images.tag("cache", "latest", pushed)
    for digest in (layer, config):
        link = images.manifests("cache").parent / "_layers" / digest.replace(":", "/") / "link"
        link.parent.mkdir(parents=True)
        link.write_text(digest)
    return pushed, layer, config


def found(images):
    return check(files_below(images.root), manifests_in(files_below(images.root, "repositories")))


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_child_of_a_manifests_media_type_is_a_manifest(kind):
    digest = f"sha256:{'a' * 64}"

    assert parse(json.dumps(index((kind, digest))).encode()).children == (digest,)


def test_a_child_of_another_media_type_is_a_blob():
    layer, config = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    parsed = parse(json.dumps(index((LAYER, layer), (CONFIG, config))).encode())

    assert (parsed.blobs, parsed.children) == ((layer, config), ())


def test_a_report_reads_no_layer_as_a_manifest(images, parts, monkeypatch, capsys):
    read = []
    manifest = Store.manifest
    monkeypatch.setattr(
        Store, "manifest", lambda store, digest: read.append(digest) or manifest(store, digest)
    )

    assert report.main({"STORE": str(images.directory), "RULES": "[]"}) == 0
    [told, _] = map(json.loads, capsys.readouterr().out.splitlines())
    whole = sum(size for _, size in blob_sizes(images.directory))
    assert told["bytes"] == told["tags"][0]["bytes"] == whole
    assert set(read) == {parts[0]}


def test_a_lost_layer_is_found(images, parts):
    pushed, layer, _ = parts
    assert found(images).problems == []
    (images.root / f"blobs/sha256/{layer[7:9]}/{layer[7:]}/data").unlink()

    assert found(images).problems == [f"cache: the manifest {pushed} needs {layer}, which is not there"]


def test_a_cache_is_no_image_to_scan_and_no_damage(images, parts):
    assert list(targets(Store(images.directory), 1)) == []


def test_retention_keeps_what_an_index_names_whatever_it_calls_it(images, parts):
    """The registry's own collection follows each child that the repository has as a manifest."""
    child = images.manifest("cache", ["of another name"])
    images.tag("cache", "odd", images.manifest("cache", index((LAYER, child))))

    made = plan(Store(images.directory), [Rule(repositories=("cache",), keep_newest=2)], now=10**9)
    assert made.repositories == ()


def test_what_an_index_calls_a_layer_and_is_an_image_is_scanned(images, parts):
    image = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": images.blob(b"{}")},
        "layers": [{"digest": images.blob(b"bad")}],
    }
    hidden = images.manifest("hidden", image)
    images.tag("hidden", "1", images.manifest("hidden", index((LAYER, hidden))))

    assert [each.digest for each in targets(Store(images.directory), 1)] == [hidden]


def test_eviction_removes_the_layers_of_a_cache_with_it(images, parts):
    kept = images.image("app", "1", "layer", pushed=5)
    cache = Cache(images.directory)
    evicted = evict(list(cache.images(access_times=False)), dict(blob_sizes(images.directory)), 10_000)

    assert [image.digest for image in evicted.images] == [parts[0]]
    assert set(evicted.blobs) == set(parts)
    assert kept
