from jobs.tasks.eviction_plan import Image, evict


def image(name, used, *blobs, repository="app", children=()):
    return Image(
        repository=repository,
        digest=name,
        tags=(),
        used=used,
        blobs=frozenset([name, *blobs]),
        children=frozenset(children),
    )


def gone(images, sizes, target):
    found = evict(images, sizes, target)
    return [each.digest for each in found.images], sorted(found.blobs)


SIZES = {"a": 1, "b": 1, "c": 1, "la": 10, "lb": 10, "shared": 100}
IMAGES = [image("b", 2, "lb", "shared"), image("a", 1, "la", "shared"), image("c", 3, "shared")]


def test_the_least_recently_used_go_until_the_rest_fits():
    assert gone(IMAGES, SIZES, 123) == ([], [])
    assert gone(IMAGES, SIZES, 122) == (["a"], ["a", "la"])
    assert gone(IMAGES, SIZES, 111) == (["a", "b"], ["a", "b", "la", "lb"])


def test_a_blob_goes_with_the_last_image_that_needs_it():
    assert gone(IMAGES, SIZES, 100) == (["a", "b", "c"], sorted(SIZES))


def test_a_blob_is_needed_by_images_of_other_repositories_too():
    images = [image("a", 1, "la"), image("a", 2, "la", repository="other")]

    assert evict(images, {"a": 1, "la": 10}, 10) == evict(images[::-1], {"a": 1, "la": 10}, 10)
    assert gone(images, {"a": 1, "la": 10}, 10) == (["a", "a"], ["a", "la"])


def test_blobs_of_no_image_go_first():
    assert gone(IMAGES, {**SIZES, "lost": 50}, 123) == ([], ["lost"])


def test_a_part_goes_after_every_index_that_names_it():
    images = [
        image("amd64", 1, "la"),
        image("old", 2, children=["amd64", "not cached"]),
        image("new", 4, children=["amd64"]),
        image("other", 3, "lb"),
    ]
    sizes = {"amd64": 1, "old": 1, "new": 1, "other": 1, "la": 10, "lb": 10}

    assert gone(images, sizes, 22)[0] == ["old", "other"]
    assert gone(images, sizes, 11)[0] == ["old", "other", "new"]
    assert gone(images, sizes, 10)[0] == ["old", "other", "new", "amd64"]


def test_a_part_that_is_pulled_by_itself_stays_when_its_index_goes():
    images = [image("amd64", 9, "la"), image("index", 1, children=["amd64"]), image("other", 2, "lb")]

    assert gone(images, {"amd64": 1, "index": 1, "other": 1, "la": 10, "lb": 10}, 11)[0] == ["index", "other"]


def test_an_image_without_its_layers_goes_without_a_gain():
    assert gone([image("a", 1, "la"), image("b", 2, "lb")], {"a": 1, "b": 1, "lb": 10}, 11)[0] == ["a"]
