import fcntl
import json
from contextlib import contextmanager

import pytest

from jobs.tasks.backups import BackupError, Backups, Taken
from jobs.tasks.restic import ResticError

KEEP = {"daily": 7, "weekly": 0, "monthly": 12}


class Restic:
    """Keeps the commands, and gives answers by their first words."""

    def __init__(self, **answers):
        self.answers, self.commands = answers, []

    def run(self, *arguments, folder=None, patience=None):
        self.commands.append(arguments)
        answer = self.answers.get(arguments[0], "")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def json(self, *arguments):
        return self.run(*arguments)

    @contextmanager
    def output(self, *arguments, folder=None):
        self.commands.append(arguments)
        lines, error = self.answers[arguments[0]]
        yield [json.dumps(line).encode() for line in lines]
        if error:
            raise error


@pytest.fixture
def backups(tmp_path):
    opened = []

    def make(**answers):
        opened.append((tmp_path / "lock").open("ab"))
        fcntl.flock(opened[-1], fcntl.LOCK_SH)
        return Backups(Restic(**answers), "docker-registry", opened[-1].fileno())

    yield make
    for each in opened:
        each.close()


def commands(backups):
    return backups._restic.commands


def snapshot(name, time, *tags):
    return {"id": name, "time": time, "tags": list(tags)}


SNAPSHOTS = [
    snapshot("bb12", "2026-11-02T02:17:00Z"),
    snapshot("aa34", "2026-11-01T02:17:00Z"),
    snapshot("bb56", "2026-11-03T10:00:00Z", "before-restore"),
]


def test_snapshots_are_listed_the_oldest_first(backups):
    assert [each["id"] for each in backups(snapshots=SNAPSHOTS).snapshots()] == ["aa34", "bb12", "bb56"]


def test_a_repository_without_snapshots_has_an_empty_list(backups):
    assert backups(snapshots=None).snapshots() == []


@pytest.mark.parametrize(("wanted", "found"), [("aa", "aa34"), ("bb56", "bb56"), ("latest", "bb12")])
def test_a_snapshot_is_found_by_the_beginning_of_its_name_or_as_the_latest_backup(backups, wanted, found):
    assert backups(snapshots=SNAPSHOTS).find(wanted)["id"] == found


@pytest.mark.parametrize(
    ("snapshots", "wanted", "words"),
    [
        (SNAPSHOTS, "cc", "cc is no snapshot: "),
        (SNAPSHOTS, "bb", "bb begins the names of several snapshots: "),
        ([], "latest", "there is no snapshot yet: "),
    ],
)
def test_a_snapshot_that_is_not_there_is_an_error_that_says_how_to_find_one(
    backups, snapshots, wanted, words
):
    with pytest.raises(BackupError) as caught:
        backups(snapshots=snapshots).find(wanted)
    assert str(caught.value) == f"{words}`python -m ops backup list` shows them, `… now` makes one"


SUMMARY = {
    "message_type": "summary",
    "snapshot_id": "1a2b3c4d5e",
    "total_bytes_processed": 5000,
    "data_added": 30,
}


def test_a_backup_is_of_the_store_without_unfinished_uploads(backups, images, capsys):
    images.image("ci/app", "v1")
    half = {"message_type": "status", "percent_done": 0.5, "total_bytes": 2 * 1024**2}
    made = backups(backup=([half, SUMMARY], None))

    assert made.take(images.directory) == Taken(snapshot="1a2b3c4d", size=5000, added=30)
    assert commands(made) == [
        (
            "backup",
            "--json",
            "--host",
            "docker-registry",
            *("--exclude", "_uploads", "--exclude", "!_manifests/tags/_uploads"),
            "docker",
        )
    ]
    assert capsys.readouterr().out == "50% of 2.0 MiB\n"


def test_a_registry_that_wrote_nothing_yet_has_nothing_to_back_up(backups, tmp_path):
    assert backups().take(tmp_path) is None


def test_a_backup_that_left_files_out_is_an_error_and_no_snapshot(backups, images):
    images.image("ci/app", "v1")
    made = backups(backup=([SUMMARY], ResticError("restic backup: open x: permission denied")))

    with pytest.raises(ResticError, match="permission denied"):
        made.take(images.directory)
    assert commands(made)[-1] == ("forget", "1a2b3c4d5e")


def test_old_snapshots_go_by_the_rules_that_keep_some_and_the_rest_is_checked(backups):
    made = backups()

    assert made.thin_out(KEEP)
    assert commands(made) == [
        ("unlock",),
        (
            *("forget", "--prune", "--host", "docker-registry", "--group-by", "host,tags"),
            *("--keep-daily", "7", "--keep-monthly", "12"),
        ),
        ("check",),
    ]


def test_backups_that_do_not_answer_are_an_error(backups):
    error = ResticError("restic cat: no success in 30 s: connection refused")

    backups().require_reachable()
    with pytest.raises(ResticError, match="connection refused"):
        backups(cat=error).require_reachable()


def test_nothing_is_removed_while_somebody_reads(backups):
    reader, made = backups(), backups()

    assert not made.thin_out(KEEP)
    assert commands(made) == []
    del reader


def test_a_snapshot_takes_a_block_for_each_file_and_directory_beside_their_bytes(backups):
    told = {"total_size": 5004, "total_file_count": 24, "snapshots_count": 1}

    assert backups(stats=told).size("aa34") == 5004 + 24 * 4096


def test_some_blobs_take_their_bytes_and_two_blocks_each(backups):
    nodes = [
        {"struct_type": "snapshot", "id": "aa34"},
        {"type": "dir", "path": "/docker/registry/v2/blobs/sha256/aa/aa1"},
        {"type": "file", "path": "/docker/registry/v2/blobs/sha256/aa/aa1/data", "size": 5000},
        {"type": "file", "path": "/docker/registry/v2/blobs/sha256/bb/bb1/data", "size": 7000},
    ]

    found = backups(ls=(nodes, None)).size_of("aa34", ["docker/registry/v2/blobs/sha256/aa/aa1"])
    assert found == 5000 + 2 * 4096
