import os
import shutil
from pathlib import Path

import pytest

from jobs.tasks.backups import BEFORE_RESTORE, Taken
from jobs.tasks.blob_check import ROOT, check, files_below, manifests_in
from jobs.tasks.freeze_held import ThawedError
from jobs.tasks.restic import ResticError
from jobs.tasks.restore import RestoreError, mend, restore

REPOSITORIES = f"{ROOT}/repositories"


class Snapshot:
    """A copy of a store in place of a snapshot; keeps what was backed up before it is restored."""

    def __init__(self, copy):
        self.copy, self.taken, self.error, self.bytes = copy, [], None, 0
        self.thawed, self.lost, self.forgotten = None, None, []
        self.odd, self.secret = (), None  # a link to the secret, and a pipe

    def find(self, wanted):
        return {"id": f"{wanted}00000000"}

    def size(self, snapshot):
        return self.bytes

    def size_of(self, snapshot, blobs):
        return sum((self.copy / blob / "data").stat().st_size for blob in blobs) + self.bytes

    def take(self, data, *, tags):
        there = (data / "docker").exists()
        self.taken.append(sorted(files(data)) if there else None)
        assert tags == [BEFORE_RESTORE]
        return Taken(snapshot="undo", size=1, added=1) if there else None

    def forget(self, snapshot):
        self.forgotten.append(snapshot)

    def require_reachable(self):
        if self.lost:
            raise self.lost

    def require_freeze(self):
        if self.thawed:
            raise self.thawed

    def restore(self, snapshot, target, only=()):
        for root, path in self.odd:
            odd = target / path.relative_to(root)
            odd.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(odd):
                odd.symlink_to(self.secret) if path == self.odd[0][1] else os.mkfifo(odd)
        for path in only or ["docker"]:
            if (self.copy / path).exists():
                shutil.copytree(self.copy / path, target / path, dirs_exist_ok=True)
        if self.error:
            raise self.error


@pytest.fixture
def snapshot(images, tmp_path):
    """A snapshot of what `images` has so far."""

    def take():
        copy = tmp_path / "snapshot"
        shutil.copytree(images.directory, copy)
        return Snapshot(copy)

    return take


def push(images, repository, tag, layer):
    digest = images.image(repository, tag, layer)
    link = images.manifests(repository).parent / "_layers" / images.blob(layer.encode()).replace(":", "/")
    link.mkdir(parents=True, exist_ok=True)
    (link / "link").write_text(images.blob(layer.encode()))
    config = images.manifests(repository).parent / "_layers" / images.blob(b"{}").replace(":", "/")
    config.mkdir(parents=True, exist_ok=True)
    (config / "link").write_text(images.blob(b"{}"))
    return digest


def files(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def run(snapshot, images, repository=None, accept_damage=False):
    return restore(
        snapshot,
        images.directory,
        wanted="1a2b3c4d",
        repository=repository,
        accept_damage=accept_damage,
        require_freeze=snapshot.require_freeze,
    )


def problems(images):
    manifests = manifests_in(files_below(images.root, "repositories"))
    return check(files_below(images.root), manifests).problems


def blob_file(images, content):
    value = images.blob(content).removeprefix("sha256:")
    return images.root / "blobs" / "sha256" / value[:2] / value / "data"


def test_a_snapshot_takes_the_place_of_everything(images, snapshot):
    push(images, "ci/app", "v1", "one")
    before, saved = files(images.directory), snapshot()
    push(images, "ci/app", "v2", "two")

    told = run(saved, images)
    assert files(images.directory) == before
    assert told == (
        "restored everything from snapshot 1a2b3c4d: 3 blobs of 221 B, 1 manifests, 1 tags; "
        "what was there before is in snapshot undo"
    )
    assert len(saved.taken) == 1


def test_a_snapshot_is_restored_to_an_empty_volume(images, snapshot):
    push(images, "ci/app", "v1", "one")
    before, saved = files(images.directory), snapshot()
    shutil.rmtree(images.directory / "docker")

    assert run(saved, images).endswith("1 tags")
    assert files(images.directory) == before


def test_a_damaged_snapshot_is_refused_and_nothing_changes(images, snapshot):
    push(images, "ci/app", "v1", "one")
    blob_file(images, b"one").write_bytes(b"rotten")
    saved = snapshot()
    push(images, "ci/app", "v2", "two")
    before = files(images.directory)

    with pytest.raises(RestoreError) as caught:
        run(saved, images)
    assert str(caught.value).startswith("snapshot 1a2b3c4d is damaged, and nothing was changed; ")
    assert files(images.directory) == before
    assert saved.taken == []


def test_a_snapshot_that_restic_cannot_read_is_refused_and_nothing_changes(images, snapshot):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory)
    saved.error = ResticError("restic restore: ciphertext verification failed")

    with pytest.raises(RestoreError, match="ciphertext verification failed"):
        run(saved, images)
    assert files(images.directory) == before


@pytest.mark.parametrize("repository", [None, "ci/app"])
def test_a_lost_connection_is_no_damage_that_can_be_accepted(images, snapshot, repository):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory)
    saved.error = ResticError("restic restore: There were 7 errors")
    saved.lost = ResticError("restic cat: no success in 30 s: connection refused")

    with pytest.raises(RestoreError, match=r"^the backups cannot be reached, .*refused \(.*7 errors\)$"):
        run(saved, images, repository, accept_damage=True)
    assert files(images.directory) == before
    assert saved.taken == []


def test_a_damaged_snapshot_is_restored_if_that_is_accepted(images, snapshot):
    push(images, "ci/app", "v1", "one")
    saved = snapshot()
    saved.error = ResticError("restic restore: There were 1 errors")
    shutil.rmtree(images.directory / "docker")

    assert "restored everything" in run(saved, images, accept_damage=True)
    assert images.root.exists()


@pytest.mark.parametrize("repository", [None, "ci/app"])
def test_what_does_not_fit_is_refused_before_it_is_written(images, snapshot, repository):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory)
    saved.bytes = 10**18

    with pytest.raises(RestoreError, match="are free: make room"):
        run(saved, images, repository)
    assert files(images.directory) == before


@pytest.mark.parametrize("words", ["no space left on device", "disk quota exceeded"])
def test_a_full_disk_is_no_damage_that_can_be_accepted(images, snapshot, words):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory)
    saved.error = ResticError(f"restic restore: write x: {words}; Fatal: There were 9 errors")

    with pytest.raises(RestoreError, match=f"no room to restore snapshot 1a2b3c4d .*{words}"):
        run(saved, images, accept_damage=True)
    assert files(images.directory) == before


@pytest.mark.parametrize("repository", [None, "ci/app"])
def test_a_restore_whose_freeze_somebody_ended_changes_nothing(images, snapshot, repository):
    push(images, "ci/app", "v1", "one")
    saved = snapshot()
    push(images, "ci/app", "v2", "two")
    before, saved.thawed = files(images.directory), ThawedError("somebody ended the freeze")

    with pytest.raises(ThawedError, match=r"^nothing was changed: somebody ended the freeze; start"):
        run(saved, images, repository, accept_damage=True)
    assert files(images.directory) == before
    assert saved.forgotten == ["undo"]


def test_one_repository_is_restored_and_the_others_stay(images, snapshot):
    push(images, "ci/app", "v1", "one")
    push(images, "base", "v1", "base")
    saved, then = snapshot(), files(images.manifests("ci/app"))
    push(images, "ci/app", "v2", "two")
    push(images, "base", "v2", "newer base")
    shutil.rmtree(images.manifests("ci/app") / "tags" / "v1")
    base = files(images.manifests("base"))

    assert run(saved, images, repository="ci/app").startswith("restored ci/app from snapshot 1a2b3c4d: ")
    assert files(images.manifests("ci/app")) == then
    assert files(images.manifests("base")) == base
    assert problems(images) == []


@pytest.fixture
def secret(tmp_path):
    """What a task could read beside the store."""
    file = tmp_path / "vault_token"
    file.write_text("hvs.secret")
    return file


@pytest.mark.parametrize("repository", [None, "ci/app"])
def test_a_link_or_a_pipe_in_a_snapshot_is_not_followed_or_restored_and_none_of_it_told(
    images, snapshot, secret, repository
):
    push(images, "ci/app", "v1", "one")
    for tag in ("v2", "v3"):
        push(images, "ci/app", tag, tag)
    link, pipe = (images.manifests("ci/app") / "tags" / tag / "current" / "link" for tag in ("v2", "v3"))
    for path in (link, pipe):
        path.unlink()
    shutil.copytree(images.directory, images.directory.with_name("snapshot"))
    saved = Snapshot(images.directory.with_name("snapshot"))
    saved.odd = [(images.directory, path) for path in (link, pipe)]
    saved.secret = secret

    with pytest.raises(RestoreError) as refused:
        run(saved, images, repository)
    assert "tags/v2/current/link is neither a file nor a directory" in str(refused.value)
    assert "tags/v3/current/link is neither a file nor a directory" in str(refused.value)

    told = run(saved, images, repository, accept_damage=True)
    assert "hvs.secret" not in told + str(refused.value)
    assert not os.path.lexists(link) and not os.path.lexists(pipe)


def test_a_tag_that_has_a_secret_for_its_digest_does_not_tell_it(images, snapshot):
    push(images, "ci/app", "v1", "one")
    (images.manifests("ci/app") / "tags/v1/current/link").write_text("hvs.secret")

    with pytest.raises(RestoreError, match="ci/app:v1 is no digest") as refused:
        run(snapshot(), images)
    assert "hvs.secret" not in str(refused.value)


@pytest.mark.parametrize("where", ["blobs/sha256", "repositories/ci", "repositories/ci/app/_layers"])
def test_nothing_is_written_through_a_link_in_the_live_store(images, snapshot, tmp_path, where):
    push(images, "ci/app", "v1", "one")
    saved, outside = snapshot(), tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(images.root / where)
    (images.root / where).symlink_to(outside)

    with pytest.raises(OSError, match="no regular file or directory"):
        run(saved, images, repository="ci/app")
    assert [*outside.iterdir()] == []


def test_a_repository_inside_of_another_stays(images, snapshot):
    push(images, "ci", "v1", "one")
    saved = snapshot()
    push(images, "ci/app", "v1", "two")
    inner = files(images.manifests("ci/app"))

    run(saved, images, repository="ci")
    assert files(images.manifests("ci/app")) == inner


def test_restoring_a_repository_mends_its_blobs_that_are_damaged(images, snapshot):
    push(images, "ci/app", "v1", "one")
    saved = snapshot()
    blob_file(images, b"one").write_bytes(b"rotten")

    run(saved, images, repository="ci/app")
    assert problems(images) == []


def test_a_repository_that_the_snapshot_does_not_have_is_refused(images, snapshot):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory)

    with pytest.raises(RestoreError, match="snapshot 1a2b3c4d has no repository ci/other"):
        run(saved, images, repository="ci/other")
    assert files(images.directory) == before


def test_what_was_there_comes_back_if_the_new_store_cannot_be_put_in_place(images, snapshot, monkeypatch):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory)
    rename = type(images.directory).rename

    def fails_for_the_new_one(source, target):
        if ".restore" in source.parts:
            raise OSError("input/output error")
        return rename(source, target)

    monkeypatch.setattr(type(images.directory), "rename", fails_for_the_new_one)
    with pytest.raises(OSError, match="input/output error"):
        run(saved, images)
    monkeypatch.undo()
    mend(images.directory)
    assert files(images.directory) == before


def test_a_restore_that_was_cut_off_between_its_renames_is_put_right_by_the_next(images):
    push(images, "ci/app", "v1", "one")
    before = files(images.directory)
    old = images.directory / ".before-restore"
    old.mkdir()
    (old / "path").write_text("docker")
    (images.directory / "docker").rename(old / "content")
    (images.directory / ".restore" / "docker").mkdir(parents=True)

    mend(images.directory)
    assert files(images.directory) == before


@pytest.fixture
def replaced(images):
    """What a restore puts aside, with a store in its place."""
    push(images, "ci/app", "v1", "one")
    old = images.directory / ".before-restore"
    (old / "content" / "registry").mkdir(parents=True)
    (old / "path").write_text("docker")
    return old


def test_a_restore_that_was_cut_off_after_its_renames_stays_and_leaves_nothing_behind(images, replaced):
    (replaced / "done").touch()

    mend(images.directory)
    assert not replaced.exists()
    assert (images.directory / "docker").exists()


@pytest.mark.parametrize("path", ["docker", "", None, "dock", "../docker"])
def test_what_may_be_the_only_copy_is_never_removed(images, replaced, path):
    (replaced / "path").unlink()
    if path is not None:
        (replaced / "path").write_text(path)

    with pytest.raises(RestoreError, match="may be the only copy of what it replaced"):
        mend(images.directory)
    assert (replaced / "content" / "registry").exists()
    assert (images.directory / "docker").exists()


def test_what_was_put_aside_goes_before_the_mark_that_it_may_go(replaced, images, monkeypatch):
    (replaced / "done").touch()
    (replaced / "path").unlink()
    rmtree = shutil.rmtree

    def is_cut_off(folder):
        if folder == replaced:
            raise OSError("killed")
        rmtree(folder)

    monkeypatch.setattr(shutil, "rmtree", is_cut_off)
    with pytest.raises(OSError, match="killed"):
        mend(images.directory)
    assert [each.name for each in replaced.iterdir()] == ["done"]


def test_the_place_of_the_live_store_is_on_the_disk_before_it_moves(images, snapshot, monkeypatch):
    push(images, "ci/app", "v1", "one")
    saved, done = snapshot(), []
    rename, sync = type(images.directory).rename, os.fsync

    def renames(source, target):
        done.append(f"rename to {target.relative_to(images.directory)}")
        return rename(source, target)

    def syncs(file):
        done.append(f"sync {Path(f'/proc/self/fd/{file}').readlink().relative_to(images.directory)}")
        sync(file)

    monkeypatch.setattr(type(images.directory), "rename", renames)
    monkeypatch.setattr(os, "fsync", syncs)
    run(saved, images)
    old = ".before-restore"
    assert done == [
        *(f"sync {old}/path", f"sync {old}", "sync ."),
        *(f"rename to {old}/content", "rename to docker", "sync .", f"sync {old}"),
        f"sync {old}",
    ]


def test_a_new_store_that_may_not_be_on_the_disk_leaves_the_old_one_beside_it(images, snapshot, monkeypatch):
    push(images, "ci/app", "v1", "one")
    saved, before = snapshot(), files(images.directory / "docker")
    sync = os.fsync

    def fails_after_the_renames(file):
        if (images.directory / ".before-restore" / "content").exists():
            raise OSError("input/output error")
        sync(file)

    monkeypatch.setattr(os, "fsync", fails_after_the_renames)
    with pytest.raises(OSError, match="input/output error"):
        run(saved, images)
    assert files(images.directory / ".before-restore" / "content") == before
    with pytest.raises(RestoreError, match=r"move it back to its place \(docker\)"):
        mend(images.directory)
