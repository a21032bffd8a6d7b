"""Indexes that name each other again and again: reading a store takes as many steps as it has files.

Anybody may push them. Forty levels of two are 10^12 paths to one image: what walks along paths never ends.
"""

import json
import sys

import pytest

from jobs.tasks import report, retention, upgrade_check
from jobs.tasks.blob_check import check, files_below, manifests_in
from jobs.tasks.cache import Cache
from jobs.tasks.collection_obstacles import Collection, obstacles
from jobs.tasks.eviction_plan import evict
from jobs.tasks.scan_targets import targets
from jobs.tasks.store import Store
from jobs.tasks.store_size import blob_sizes

WIDE, DEEP, TAGS = 4000, 40, 300
STEPS = 100  # of one file, at the most: each folder on the way to it is one

_opened = None


def _count(event, arguments):
    if _opened is not None and event in ("open", "os.scandir"):
        _opened.append(arguments[0])


sys.addaudithook(_count)


@pytest.fixture
def steps():
    """Files and folders that are opened."""
    global _opened  # noqa: PLW0603 - an audit hook stays for ever
    _opened = []
    yield _opened
    _opened = None


@pytest.fixture
def store(images):
    """Gives how many files it has."""
    image = images.image("app", "image", "layer")
    wide = images.index("app", *[image] * WIDE)
    images.tag("app", "wide", images.index("app", *[wide] * WIDE))
    level = image
    for _ in range(DEEP):
        level = images.index("app", level, level)
    images.tag("app", "deep", level)
    for number in range(TAGS):  # each is in the way of a collection, and of an upgrade
        old = {"schemaVersion": 1, "fsLayers": [], "tag": str(number)}
        images.tag("app", f"old-{number}", images.manifest("app", old))
    (images.manifests("app").parent / "_layers").mkdir()
    return len([path for path in images.root.rglob("*") if path.is_file()])


def eviction(images):
    cache = Cache(images.directory)
    found = list(cache.images(access_times=False))
    cache.remove(evict(found, dict(blob_sizes(images.directory)), 0), found)
    return list(images.root.rglob("data"))


READERS = {
    "scan": lambda images: len(list(targets(Store(images.directory), 1000))) > TAGS,
    "report": lambda images: report.main({"STORE": str(images.directory), "RULES": "[]"}) == 0,
    "retention": lambda images: (
        retention.main(
            {
                "STORE": str(images.directory),
                "MODE": "plan",
                "RULES": json.dumps([{"name": "rule", "repositories": ["**"], "keepNewest": 1}]),
            }
        )
        == 0
    ),
    "drill": lambda images: (
        check(files_below(images.root), manifests_in(files_below(images.root, "repositories"))).problems == []
    ),
    "upgrade-check": lambda images: upgrade_check.main({"STORE": str(images.directory)}) == 0,
    "collection": lambda images: (
        len(list(obstacles(images.directory, Collection(version="3", delete_untagged=True)))) == TAGS
    ),
    "eviction": lambda images: eviction(images) == [],
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_reads_the_store_takes_as_many_steps_as_it_has_files(images, store, steps, waits, read):
    assert read(images)
    assert 0 < len(steps) < STEPS * store


def test_a_part_that_is_named_very_often_is_missing_once(images):
    image = images.image("app", "image", "layer")
    lost = images.blob(b"lost")
    (images.root / f"blobs/sha256/{lost[7:9]}/{lost[7:]}/data").unlink()
    content = {"schemaVersion": 2, "layers": [{"digest": lost}] * WIDE}
    manifest = images.manifest("app", content)

    found = check(files_below(images.root), manifests_in(files_below(images.root, "repositories")))
    assert found.problems == [f"app: the manifest {manifest} needs {lost}, which is not there"]
    assert image
