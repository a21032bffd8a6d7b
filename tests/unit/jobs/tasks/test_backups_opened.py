import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.tasks.backups import BackupError, Backups, NoBackupsError
from jobs.tasks.restic import ResticError
from jobs.tasks.vault_api import VaultError

SECRET, KEYS = "secret/data/docker-registry/backup", "secret/data/docker-registry/backup-s3"
# A restic that keeps its commands, and makes a repository; `cat` fails with the words in a file, if there.
PROGRAM = """#!/bin/sh
shift
[ "$1" = "{cache}" ] && shift
where=$RESTIC_REPOSITORY
echo "$where $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_DEFAULT_REGION $*" >> {folder}/commands
if [ "$1" = cat ] && [ -e {folder}/cat ]; then cat {folder}/cat >&2; exit 1; fi
case "$where" in /*) mkdir -p "$where" && echo "$1" > "$where/config";; esac
"""
MISSING = "Fatal: unable to open config file: Stat: The specified key does not exist.\n"


class Task:
    """The environment of a task whose backups are in a volume, and what its restic was told."""

    def __init__(self, environment, vault, folder):
        self.folder, self.vault, self.alloc, self.volume = folder, vault, folder / "alloc", folder / "backup"
        (self.alloc / "tmp").mkdir(parents=True)
        self.volume.mkdir()
        program = self.alloc / "restic"
        program.write_text(PROGRAM.format(folder=folder, cache=self.alloc / "tmp" / "cache"))
        program.chmod(0o700)
        self.environment = {
            **environment,
            "REGISTRY_JOB": "docker-registry",
            "BACKUPS": str(self.volume),
            "NOMAD_ALLOC_DIR": str(self.alloc),
            "SECRET_PATH": SECRET,
        }
        vault.answers[f"POST {SECRET}"] = (200, {})

    def open(self, *, may_begin=True):
        return Backups.of_task(self.environment, may_begin=may_begin)

    def has_password(self, text, age=timedelta(days=30)):
        made = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        data = {"data": {"password": text}, "metadata": {"created_time": made}}
        self.vault.answers[f"GET {SECRET}"] = (200, {"data": data})

    def has_repository(self, config="as it was"):
        self.repository.mkdir()
        (self.repository / "config").write_text(config)

    @property
    def repository(self):
        return self.volume / "docker-registry"

    @property
    def config(self):
        return (self.repository / "config").read_text()

    @property
    def password_file(self):
        return Path(self.environment["NOMAD_SECRETS_DIR"], "restic-password")

    @property
    def made(self):
        """The passwords that were put into Vault."""
        return [body for _, body in self.vault.sent("POST", SECRET)]

    @property
    def commands(self):
        return (self.folder / "commands").read_text().splitlines()


@pytest.fixture
def task(environment, vault, tmp_path):
    return Task(environment, vault, tmp_path)


def test_the_first_backup_makes_a_password_that_nobody_can_overwrite_and_a_repository(task):
    task.open()

    (body,) = task.made
    assert body["options"] == {"cas": 0}
    assert len(body["data"]["password"]) >= 40
    assert task.password_file.read_text() == body["data"]["password"]
    assert stat.S_IMODE(task.password_file.stat().st_mode) == 0o600
    assert task.config == "init\n"


def test_only_a_backup_makes_them(task):
    with pytest.raises(NoBackupsError, match="there is no backup yet: `python -m ops backup now` makes one"):
        task.open(may_begin=False)
    assert (task.made, task.repository.exists()) == ([], False)


def test_the_password_that_is_there_is_used(task):
    task.has_password("old")
    task.has_repository()
    task.open(may_begin=False)

    assert task.password_file.read_text() == "old"
    assert (task.made, task.config) == ([], "as it was")


def test_backups_whose_password_vault_lost_get_no_new_one(task):
    task.has_repository("")

    with pytest.raises(BackupError, match="put it back with `vault kv put secret/docker-registry/backup"):
        task.open()
    assert task.made == []


def test_a_vault_that_refuses_is_told_in_its_own_words(task, vault):
    vault.answers[f"GET {SECRET}"] = (403, {"errors": ["permission denied"]})

    with pytest.raises(VaultError, match="permission denied"):
        task.open()


def test_a_secret_without_a_password_is_an_error(task, vault):
    data = {"data": {"consul_token": "x"}, "metadata": {"created_time": "2026-11-01T02:17:00.1Z"}}
    vault.answers[f"GET {SECRET}"] = (200, {"data": data})

    with pytest.raises(BackupError, match="has no field `password`"):
        task.open()


def test_a_volume_that_cannot_be_written_is_an_error_that_names_the_owner(task, tmp_path):
    task.environment["BACKUPS"] = str(tmp_path / "not-there")

    with pytest.raises(BackupError, match=r"cannot write to the backup volume \(No such file or directory\)"):
        task.open()


def test_a_password_without_backups_means_that_their_disk_is_missing(task):
    task.has_password("old", age=timedelta(hours=1))

    with pytest.raises(BackupError, match="is its disk mounted"):
        task.open()
    assert not task.repository.exists()


def test_a_first_backup_that_was_cut_off_is_finished_by_the_next(task):
    program = task.alloc / "restic"
    works = program.read_text()
    program.write_text('#!/bin/sh\nmkdir -p "$RESTIC_REPOSITORY/keys/unfinished"; exit 1\n')
    with pytest.raises(ResticError):
        task.open()
    (body,) = task.made
    task.has_password(body["data"]["password"])

    with pytest.raises(NoBackupsError):
        task.open(may_begin=False)
    program.write_text(works)
    task.open()
    assert task.config == "init\n"
    assert not (task.repository / "keys").exists()
    assert task.password_file.read_text() == body["data"]["password"]
    shutil.rmtree(task.repository)
    with pytest.raises(BackupError, match="is its disk mounted"):
        task.open()


def test_keys_of_a_repository_that_was_not_being_made_stay(task):
    (task.repository / "keys").mkdir(parents=True)
    task.open()

    assert (task.repository / "keys").exists()


@pytest.fixture
def bucket(task, vault, tmp_path):
    """The same with a bucket that is empty."""
    del task.environment["BACKUPS"]
    (tmp_path / "store").mkdir()
    task.environment |= {
        "BUCKET": "s3:https://s3.lan/backups/nas",
        "BUCKET_KEYS_PATH": KEYS,
        "STORE": str(tmp_path / "store"),
    }
    keys = {"access_key": "the-access-key", "secret_key": "the-secret-key"}
    vault.answers[f"GET {KEYS}"] = (200, {"data": {"data": keys}})
    (tmp_path / "cat").write_text(MISSING)
    return task


def test_restic_gets_the_keys_of_a_bucket_in_its_own_environment(bucket):
    bucket.environment["BUCKET_REGION"] = "eu-central-1"
    bucket.open()

    keys = "s3:https://s3.lan/backups/nas the-access-key the-secret-key eu-central-1"
    assert bucket.commands == [f"{keys} cat config", f"{keys} init"]
    assert not any("the-" in each for each in bucket.environment.values())


def test_the_password_for_a_bucket_is_made_by_the_first_backup_too(bucket):
    with pytest.raises(NoBackupsError):
        bucket.open(may_begin=False)
    assert bucket.made == []
    bucket.open()
    assert bucket.password_file.read_text() == bucket.made[0]["data"]["password"]


@pytest.mark.parametrize("words", ["The specified bucket does not exist", "repository does not exist: x"])
def test_a_bucket_that_is_not_there_has_no_backups(bucket, words, tmp_path):
    (tmp_path / "cat").write_text(words)
    bucket.open()

    assert bucket.commands[-1].endswith(" init")


@pytest.mark.parametrize(
    "words", ["Access Denied.", "The AWS Access Key Id you provided does not exist in our records."]
)
def test_a_bucket_that_cannot_be_asked_gets_no_repository(bucket, tmp_path, words):
    (tmp_path / "cat").write_text(f"Fatal: unable to open config file: Stat: {words}\n")

    with pytest.raises(ResticError, match=f"restic cat: .*{words}"):
        bucket.open()
    assert bucket.made == []


def test_a_bucket_that_stops_to_answer_ends_a_first_backup_soon(bucket, monkeypatch):
    monkeypatch.setattr("jobs.tasks.backup_place.PATIENCE_SECONDS", 0.3)
    program = bucket.alloc / "restic"
    program.write_text(program.read_text().replace("case", '[ "$1" = init ] && exec sleep 20\ncase'))

    with pytest.raises(ResticError, match="restic init: no success in 0 s"):
        bucket.open()


def test_backups_in_a_bucket_whose_password_vault_lost_get_no_new_one(bucket, tmp_path):
    (tmp_path / "cat").write_text("Fatal: wrong password or no key found\n")

    with pytest.raises(BackupError, match="there are backups, and Vault has no password for them"):
        bucket.open()
    assert bucket.made == []


def test_a_password_without_backups_in_the_bucket_is_a_question(bucket):
    bucket.has_password("old")

    with pytest.raises(BackupError, match=r"none in https://s3\.lan/backups/nas: is it the right bucket\?"):
        bucket.open()
    assert [each.split()[-1] for each in bucket.commands] == ["config"]


def test_a_first_backup_to_a_bucket_that_failed_is_tried_again_by_the_next_daily_run(bucket):
    bucket.has_password("new", age=timedelta(hours=25))
    bucket.open()

    assert bucket.commands[-1].endswith(" init")
    assert bucket.made == []
    assert bucket.password_file.read_text() == "new"


def test_a_bucket_whose_keys_vault_lost_is_an_error_that_says_how_to_put_them_back(bucket, vault):
    del vault.answers[f"GET {KEYS}"]

    with pytest.raises(BackupError, match=f"no keys of the bucket at {KEYS}: `pulumi up` puts them there"):
        bucket.open()
