import pytest

from jobs.tasks.scan_targets import targets
from jobs.tasks.store import Store

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Pushes:
    """Pushes images as buildkit does."""

    def __init__(self, images):
        self.images = images

    def image(self, name, *layers, pushed=0, config=CONFIG, media_type=MANIFEST):
        repository, _, tag = name.partition(":")
        content = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": config, "digest": self.images.blob(f"config {layers}".encode())},
            "layers": [{"digest": self.images.blob(layer.encode())} for layer in layers],
        }
        digest = self.images.manifest(repository, content, pushed)
        if tag:
            self.images.tag(repository, tag, digest, pushed)
        return digest

    def index(self, name, children):
        repository, _, tag = name.partition(":")
        content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
        digest = self.images.manifest(repository, content)
        self.images.tag(repository, tag, digest)
        return digest


@pytest.fixture
def push(images):
    return Pushes(images)


@pytest.fixture
def store(images):
    return Store(images.directory)


def child(digest, operating_system, architecture, **more):
    return {"digest": digest, "platform": {"os": operating_system, "architecture": architecture, **more}}


def test_the_newest_tags_of_each_repository_are_scanned_by_time_of_push(push, store):
    for number, tag in enumerate(["z-old", "b-new", "a-newest"]):
        push.image(f"ci/app:{tag}", tag, pushed=number)
    push.image("web:1", "web")

    assert [(each.repository, each.tag) for each in targets(store, 1)] == [
        ("ci/app", "a-newest"),
        ("web", "1"),
    ]
    assert [each.tag for each in targets(store, 2)] == ["a-newest", "b-new", "1"]


def test_of_a_multi_arch_image_each_platform_that_is_there_is_scanned(push, store):
    amd, arm = push.image("app", "amd"), push.image("app", "arm")
    about = push.image("app", "about its making")
    push.index(
        "app:1",
        [
            child(amd, "linux", "amd64"),
            child(arm, "linux", "arm", variant="v7"),
            child(about, "unknown", "unknown"),
            child(f"sha256:{'0' * 64}", "windows", "amd64"),
        ],
    )

    assert [(each.platform, each.digest, each.problem) for each in targets(store, 1)] == [
        ("linux/amd64", amd, None),
        ("linux/arm/v7", arm, None),
    ]


def test_an_index_of_equal_descriptors_is_one_image(push, store):
    for name in ("a", "b"):
        image = push.image(name, name)
        push.index(f"{name}:1", [child(image, "linux", "amd64"), *[child(image, "linux", "arm")] * 4000])

    assert [(each.repository, each.platform, each.problem) for each in targets(store, 1)] == [
        ("a", "linux/amd64", None),
        ("b", "linux/amd64", None),
    ]


def test_ten_levels_of_two_are_one_image_or_what_is_below_is_told(push, store):
    image = push.image("app", "layer")
    levels = [image]
    for level in range(10):
        both = [child(levels[-1], "linux", "amd64"), child(levels[-1], "linux", f"arm{level}")]
        levels.append(push.index(f"app:{level}", both))

    found = list(targets(store, 10))
    assert [(each.tag, each.digest) for each in found if not each.problem] == [
        (tag, image) for tag in ("2", "1", "0")
    ]
    deep = [each for each in found if each.problem]
    assert [each.tag for each in deep] == ["9", "8", "7", "6", "5", "4", "3"]
    assert {each.problem for each in deep} == {
        "its indexes are more than 3 deep: what is below is not scanned"
    }


def test_an_index_of_very_many_images_is_scanned_in_part_and_the_rest_is_told(push, store):
    images = [push.image("app", f"layer {number}") for number in range(105)]
    push.index("app:1", [child(image, "linux", "amd64") for image in images])

    *found, cut = targets(store, 1)
    assert [each.digest for each in found] == images[:99]
    assert cut.problem == "it has more than 100 manifests: the others are not scanned"
    assert cut.tag == "1"


def test_a_platform_is_as_long_as_people_can_read(push, store):
    push.index("app:1", [child(push.image("app", "layer"), "x" * 100_000, "amd64")])

    [found] = targets(store, 1)
    assert found.platform == f"{'x' * 50}/amd64"


def test_artifacts_and_referrers_are_no_images(push, store, images):
    push.image("charts/app:1", "chart", config="application/vnd.cncf.helm.config.v1+json")
    signed = push.image("app:1", "app", pushed=1)
    images.tag("app", signed.replace(":", "-") + ".sig", push.image("app", "signature"), pushed=2)

    assert [(each.repository, each.tag) for each in targets(store, 1)] == [("app", "1")]


def test_a_layer_that_was_pushed_by_its_sha512_is_there(push, store, images):
    layer = {"digest": images.by_sha512("app", b"layer")}
    config = {"mediaType": CONFIG, "digest": images.blob(b"{}")}
    for name in ("app", "elsewhere"):
        content = {"schemaVersion": 2, "config": config, "layers": [layer]}
        images.tag(name, "1", images.manifest(name, content))

    problems = {each.repository: each.problem for each in targets(store, 1)}
    assert problems == {"app": None, "elsewhere": f"its blob {layer['digest']} is not there"}


def test_what_cannot_be_scanned_is_told_with_its_reason(push, store, images):
    images.tag("gone", "1", f"sha256:{'1' * 64}")
    old = images.manifest("old", {"schemaVersion": 1, "fsLayers": [{"blobSum": images.blob(b"layer")}]})
    images.tag("old", "1", old)
    images.image("odd", "1")
    (images.manifests("odd") / "tags/1/current/link").write_text("nonsense")
    push.image("torn:1", "layer of torn")
    lost = images.blob(b"layer of torn")
    images.data(lost).unlink()

    problems = {each.repository: each.problem for each in targets(store, 1)}
    assert problems["gone"] == "its manifest is not there or damaged"
    assert problems["old"] == "Trivy reads no images of schema 1"
    assert problems["odd"].startswith("tag 1 has no digest in ")
    assert problems["torn"] == f"its blob {lost} is not there"
