from contextlib import contextmanager

import pytest

from jobs.tasks import backup as backup_script
from jobs.tasks import drill as drill_script
from jobs.tasks.backups import BackupError, Taken
from jobs.tasks.blob_check import ROOT, files_below
from jobs.tasks.consul_check import ConsulError
from jobs.tasks.drill import DrillError, drill
from jobs.tasks.freeze_held import ThawedError
from jobs.tasks.nomad_api import NomadError
from jobs.tasks.restic import ResticError

KEEP = {"daily": 7}
TAKEN = Taken(snapshot="1a2b3c4d", size=20 * 1024**2, added=1024**2)


class Backups:
    def __init__(self, taken=None, thinned=True, store=None):
        self.taken, self.thinned, self.store, self.kept = taken, thinned, store, None
        self.forgotten = []

    def take(self, data):
        return self.taken

    def thin_out(self, keep):
        self.kept = keep
        if isinstance(self.thinned, Exception):
            raise self.thinned
        return self.thinned

    def forget(self, snapshot):
        self.forgotten.append(snapshot)

    def snapshots(self):
        return [{}, {}, {}]

    def find(self, wanted):
        assert wanted == "latest"
        if self.store is None:
            raise BackupError("there is no snapshot yet")
        return {"id": "1a2b3c4d5e6f", "time": "2026-11-01T02:17:00.123Z"}

    @contextmanager
    def files(self, snapshot, path=""):
        if isinstance(self.store, Exception):
            raise self.store
        yield files_below(self.store, path.removeprefix(ROOT).strip("/"))


@pytest.fixture
def back_up(tmp_path):
    """Back up while a freeze can be ended, or not; what was said last."""

    def run(backups, error=None, thawed=None):
        def require_freeze():
            assert backups.kept is None
            if thawed:
                raise thawed

        def end_freeze():
            assert backups.kept is None, "old snapshots go when the registry is writable again"
            if error:
                raise error
            return "docker-registry is writable again"

        return backup_script.back_up(
            backups, tmp_path, KEEP, require_freeze=require_freeze, end_freeze=end_freeze
        )

    return run


def test_a_backup_says_how_much_it_is_and_how_much_of_it_is_new(back_up, capsys):
    backups = Backups(TAKEN)

    told = back_up(backups)
    assert told == "snapshot 1a2b3c4d of 20.0 MiB, 1.0 MiB of it new; 3 snapshots are kept"
    assert backups.kept == KEEP
    assert capsys.readouterr().out == "docker-registry is writable again\n"


def test_a_backup_beside_a_reader_leaves_old_snapshots_for_the_next_run(back_up):
    assert "old ones stay until the next run" in back_up(Backups(TAKEN, thinned=False))


def test_a_backup_that_cannot_remove_old_snapshots_fails_and_names_the_new_one(back_up):
    failing = Backups(TAKEN, thinned=ResticError("restic check: pack is damaged"))

    with pytest.raises(ResticError, match=r"snapshot 1a2b3c4d .*; but old snapshots stay: .*pack is damaged"):
        back_up(failing)


def test_a_backup_that_cannot_end_the_freeze_leaves_that_to_the_last_task_at_once(back_up):
    backups = Backups(TAKEN)

    told = back_up(backups, NomadError("Nomad: GET /v1/var/x failed: timed out"))
    assert told.startswith(
        "snapshot 1a2b3c4d of 20.0 MiB, 1.0 MiB of it new; the registry is still read-only,"
    )
    assert backups.kept is None


def test_a_snapshot_during_which_the_freeze_ended_is_removed_and_the_backup_fails(back_up, capsys):
    backups = Backups(TAKEN)

    with pytest.raises(ThawedError, match=r"^snapshot 1a2b3c4d is removed again: somebody .*once more$"):
        back_up(backups, thawed=ThawedError("somebody ended the freeze"))
    assert (backups.forgotten, backups.kept) == (["1a2b3c4d"], None)
    assert capsys.readouterr().out == ""


def test_a_snapshot_of_which_nobody_can_say_whether_the_freeze_held_is_removed_too(back_up):
    backups = Backups(TAKEN)

    with pytest.raises(ThawedError, match=r"^snapshot 1a2b3c4d is removed again: Nomad: .*timed out"):
        back_up(backups, thawed=NomadError("Nomad: GET /v1/var/x failed: timed out"))
    assert backups.forgotten == ["1a2b3c4d"]


def test_an_empty_registry_has_nothing_to_back_up_and_is_let_go(back_up, capsys):
    assert back_up(Backups(None)).startswith("nothing to back up")
    assert capsys.readouterr().out == "docker-registry is writable again\n"


def test_a_drill_counts_what_it_read(images):
    images.image("ci/app", "v1")

    told = drill(Backups(store=images.root))
    assert told == (
        "snapshot 1a2b3c4d of 2026-11-01T02:17:00 can be restored: 3 blobs of 220 B, 1 manifests, 1 tags"
    )


def test_a_drill_fails_over_a_damaged_store(images):
    images.tag("ci/app", "v1", "sha256:" + 64 * "0")

    with pytest.raises(DrillError, match="the store in it is damaged:\n  ci/app:v1 is sha256:0"):
        drill(Backups(store=images.root))


def test_a_drill_fails_over_a_snapshot_that_cannot_be_read():
    with pytest.raises(DrillError, match="cannot be restored: restic dump: no such pack"):
        drill(Backups(store=ResticError("restic dump: no such pack")))


@pytest.fixture
def reported(monkeypatch, vault, environment):
    """Run the drill's program over backups; its exit code and what Consul was told."""
    vault.answers["GET secret/data/x/backup"] = (
        200,
        {"data": {"data": {"password": "p", "consul_token": "t"}}},
    )
    environment |= {
        "SECRET_PATH": "secret/data/x/backup",
        "CONSUL_ADDRESS": "http://127.0.0.1:8500",
        "CHECK": "registry-drill",
        "CHECK_HOURS": "48",
    }

    def run(backups, error=None, has_token=True):
        told = []

        def report(check, *, passed, output):
            assert (check.service, check.token, check.hours) == (
                "registry-drill",
                "t" if has_token else None,
                48,
            )
            told.append((passed, output))
            if error:
                raise error

        monkeypatch.setattr(drill_script.ConsulCheck, "report", report)
        monkeypatch.setattr(drill_script.Backups, "of_task", lambda _: backups)
        return drill_script.main(environment), told[0]

    return run


def test_consul_is_told_that_a_drill_went_well(reported, images, capsys):
    code, (passed, output) = reported(Backups(store=images.root))

    assert (code, passed) == (0, True)
    assert capsys.readouterr().out == f"{output}\n"


def test_consul_is_told_that_a_drill_failed_and_why(reported, capsys):
    code, (passed, output) = reported(Backups())

    assert (code, passed, output) == (1, False, "there is no snapshot yet")
    assert capsys.readouterr().err == "there is no snapshot yet\n"


def test_consul_is_told_too_if_no_backup_ever_made_a_password(reported, vault):
    vault.answers.clear()

    assert reported(Backups(), has_token=False) == (1, (False, "there is no snapshot yet"))


def test_a_drill_that_consul_did_not_hear_of_has_failed(reported, images, capsys):
    code, _ = reported(Backups(store=images.root), ConsulError("Consul at x: answered 403"))

    assert code == 1
    assert "Consul at x: answered 403" in capsys.readouterr().err
