import time

import pytest

from checks.errors import CheckError
from checks.job_run import JobRun
from checks.servers import Server
from ops.backup import ask_backups, local_time, require_backup
from ops.restore import lines

SNAPSHOT = {"id": "1a2b3c4d5e6f", "time": "2026-11-01T02:17:00.123456789Z", "tags": []}


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def change(back=(), gone=(), changed=()):
    return {"back": list(back), "gone": list(gone), "changed": list(changed)}


def told(repositories, repository=None):
    return list(lines({"snapshot": SNAPSHOT, "repositories": repositories}, repository))


@pytest.mark.parametrize(
    "text", ["2026-11-01T02:17:00.123456789Z", "2026-11-01T02:17:00Z", "2026-11-01T03:17:00.5+01:00"]
)
def test_times_of_restic_are_told_in_local_time(text):
    assert local_time(text) == "2026-11-01 03:17:00 CET"


def test_a_restore_names_the_tags_that_come_back_go_and_change():
    assert told({"ci/app": change(["v1"], ["v3", "v4"], ["latest"])}) == [
        "restores everything from snapshot 1a2b3c4d of 2026-11-01 03:17:00 CET",
        "  ci/app",
        "    come back: v1",
        "    go: v3, v4",
        "    become other images: latest",
    ]


def test_a_restore_that_changes_no_tag_says_so():
    first, second = told({}, "ci/app")

    assert first.startswith("restores repository ci/app from snapshot 1a2b3c4d")
    assert second.strip().startswith("all tags stay as they are")


def test_of_many_tags_the_first_are_named():
    assert told({"ci/app": change(gone=[f"v{number}" for number in range(13)])})[-1] == (
        "    go: v0, v1, v2, v3, v4, v5, v6, v7, v8, v9 and 3 more"
    )


@pytest.mark.parametrize("log", ["", '[{"id": "1a2b'])
def test_a_list_of_snapshots_that_ends_too_early_is_an_error(read_settings, monkeypatch, log):
    settings = read_settings(maintenance={"backup": {}})
    nomad = Server(settings.providers.nomad, None)
    run = JobRun(nomad=nomad, namespace="default", job="docker-registry-snapshots/1", evaluation="e1")
    monkeypatch.setattr(JobRun, "dispatched", lambda *_: run)
    monkeypatch.setattr(JobRun, "answer", lambda *_: log)

    with pytest.raises(CheckError, match="log of job docker-registry-snapshots/1 ends too early: run this"):
        ask_backups(nomad, settings)


def test_a_stack_without_backups_is_told_how_to_get_them(read_settings):
    with pytest.raises(CheckError, match=r"stack dev has no docker-registry:maintenance\.backup: set it"):
        require_backup(read_settings())
    require_backup(read_settings(maintenance={"backup": {}}))
