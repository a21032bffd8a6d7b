from contextlib import contextmanager

from jobs.tasks.blob_check import files_below
from jobs.tasks.snapshots import changes, compared, listing

SNAPSHOT = {"id": "1a2b3c4d5e6f", "time": "2026-11-01T02:17:00Z", "hostname": "docker-registry"}
TOLD = {"id": "1a2b3c4d5e6f", "time": "2026-11-01T02:17:00Z", "tags": []}


class Backups:
    def __init__(self, images=None):
        self.images = images

    def snapshots(self):
        return [SNAPSHOT]

    def find(self, wanted):
        assert wanted == "1a2b"
        return SNAPSHOT

    @contextmanager
    def files(self, snapshot, path):
        assert path == "docker/registry/v2/repositories"
        yield files_below(self.images.root, "repositories")


def test_the_list_has_what_people_choose_by():
    assert listing(Backups()) == [TOLD]


def test_tags_come_back_go_and_change():
    now = {
        "ci/app": {"v1": "sha256:1", "v2": "sha256:2"},
        "same": {"v1": "sha256:1"},
        "new": {"v1": "sha256:9"},
    }
    then = {"ci/app": {"v1": "sha256:0", "v0": "sha256:3"}, "same": {"v1": "sha256:1"}}

    assert compared(now, then) == {
        "ci/app": {"back": ["v0"], "gone": ["v2"], "changed": ["v1"]},
        "new": {"back": [], "gone": ["v1"], "changed": []},
    }


def test_a_snapshot_is_compared_with_the_live_store(images, tmp_path):
    images.image("ci/app", "v1")
    images.image("base", "v1")

    found = changes(Backups(images), tmp_path / "empty", "1a2b", None)
    assert found["snapshot"] == TOLD
    assert found["repositories"].keys() == {"ci/app", "base"}
    found = changes(Backups(images), tmp_path / "empty", "1a2b", "ci/app")
    assert found["repositories"] == {"ci/app": {"back": ["v1"], "gone": [], "changed": []}}
