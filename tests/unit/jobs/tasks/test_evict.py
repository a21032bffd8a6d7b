import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from jobs.tasks import evict as script
from jobs.tasks.evict import main
from jobs.tasks.store import parse
from jobs.tasks.store_size import store_size

DAY = 86_400
NOW = 1000 * DAY
SEEDS = range(20)


@pytest.fixture
def cache(images):
    return CachedImages(images)


class CachedImages:
    """A pull-through cache as the registry leaves it when it ends (distribution 3.1, registry/proxy)."""

    def __init__(self, images):
        self.images, self.directory, self.root = images, images.directory, images.root

    def pull(self, repository, digest, tag=None, at=NOW):
        """Note a pull as the registry does: the tag is written anew, other links are read."""
        if tag:
            self.images.tag(repository, tag, digest, at)
        link = self.home(repository) / "_manifests" / "revisions" / digest.replace(":", "/") / "link"
        os.utime(link, (at, link.stat().st_mtime))
        for layer in parse(self.data(digest).read_bytes()).blobs:
            folder = self.home(repository) / "_layers" / layer.replace(":", "/")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "link").write_text(layer)
        self._schedule(repository, digest)

    def image(self, repository, tag, *layers, at=NOW):
        digest = self.images.manifest(repository, layers, at)
        self.pull(repository, digest, tag, at)
        return digest

    def run(self, limit, **more):
        return main({"STORE": str(self.directory), "LIMIT": str(limit), **more})

    def home(self, repository):
        return self.root / "repositories" / repository

    def data(self, digest):
        value = digest.removeprefix("sha256:")
        return self.root / "blobs" / "sha256" / value[:2] / value / "data"

    def size(self):
        return store_size(self.directory).bytes

    def tags(self):
        """Give what each tag points at."""
        found = {}
        for link in self.root.glob("repositories/**/tags/*/current/link"):
            repository = link.relative_to(self.root / "repositories").parents[4]
            found[str(repository), link.parents[1].name] = unnoticed(link)
        return found

    def manifests(self):
        """Give each manifest in each repository with its blobs that are there."""
        found = {}
        for link in self.root.glob("repositories/**/revisions/sha256/*/link"):
            repository, digest = (
                link.relative_to(self.root / "repositories").parents[4],
                f"sha256:{link.parent.name}",
            )
            found[str(repository), digest] = self.parts(repository, digest)
        return found

    def parts(self, repository, digest):
        manifest, revisions = (
            parse(self.data(digest).read_bytes()),
            self.home(repository) / "_manifests/revisions",
        )
        children = {
            child for child in manifest.children if (revisions / child.replace(":", "/") / "link").exists()
        }
        return {part for part in {digest, *manifest.blobs, *children} if self.data(part).exists()}

    def layers(self):
        """Give the layers that each repository has."""
        links = self.root.glob("repositories/**/_layers/sha256/*/link")
        places = [
            (link.relative_to(self.root / "repositories").parents[3], link.parent.name) for link in links
        ]
        return {(str(repository), f"sha256:{value}") for repository, value in places}

    def state(self):
        return json.loads((self.directory / "scheduler-state.json").read_text())

    def _schedule(self, repository, digest):
        file = self.directory / "scheduler-state.json"
        state = json.loads(file.read_text()) if file.exists() else {}
        for kind, digests in ((1, [digest]), (0, parse(self.data(digest).read_bytes()).blobs)):
            for each in digests:
                key = f"{repository}@{each}"
                state[key] = {"Key": key, "ExpiryData": "2026-12-01T15:58:13Z", "EntryType": kind}
        file.write_text(json.dumps(state))


def unnoticed(link):
    """Read a link without its looking like a pull."""
    times = link.stat()
    text = link.read_text()
    os.utime(link, ns=(times.st_atime_ns, times.st_mtime_ns))
    return text


def report(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_least_recently_pulled_image_goes_with_all_that_is_its_own(cache, capsys):
    old = cache.image("library/old", "1", "a" * 1000, "b" * 1000, at=NOW - 9 * DAY)
    new = cache.image("library/new", "1", "b" * 1000, "c" * 1000, at=NOW)
    before = cache.size()

    assert cache.run(before - 1) == 0
    assert cache.tags() == {("library/new", "1"): new}
    assert cache.manifests().keys() == {("library/new", new)}
    assert len(cache.manifests()["library/new", new]) == 4
    assert not cache.home("library/old").exists() and not cache.data(old).exists()
    assert {key.partition("@")[0] for key in cache.state()} == {"library/new"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "removed library/old:1, last used 1972-09-18 00:00"
    assert json.loads(said[-1]) == {
        "removed": 1, "before": before, "bytes": cache.size(), "limit": before - 1
    }  # fmt: skip


def test_a_cache_within_its_limit_stays_as_it_is(cache, capsys):
    cache.image("app", "1", "a" * 1000)
    lost = cache.images.blob(b"lost")

    assert cache.run(cache.size()) == 0
    assert cache.data(lost).exists() and len(cache.manifests()) == 1
    assert report(capsys) == {
        "removed": 0, "before": cache.size(), "bytes": cache.size(), "limit": cache.size()
    }  # fmt: skip


def test_a_mirror_that_never_ran_has_nothing_to_remove(tmp_path, capsys):
    assert main({"STORE": str(tmp_path / "hub"), "LIMIT": "1"}) == 0
    assert report(capsys) == {"removed": 0, "before": 0, "bytes": 0, "limit": 1}


def test_there_is_room_afterwards_for_a_tenth_of_the_limit(cache):
    for number in range(20):
        cache.image("app", str(number), str(number) * 1000, at=NOW + number)

    limit = cache.size() - 1
    cache.run(limit)
    assert 0.8 * limit < cache.size() <= 0.9 * limit
    assert {int(tag) for _, tag in cache.tags()} == set(range(3, 20))


@pytest.mark.parametrize("access_times", [True, False])
def test_a_pull_by_digest_counts_where_reads_are_noted(cache, capsys, monkeypatch, access_times):
    monkeypatch.setattr(script, "are_kept", lambda *_: access_times)
    by_digest = cache.image("app", "first", "a" * 1000, at=NOW - 9 * DAY)
    cache.image("app", "second", "b" * 1000, at=NOW - 5 * DAY)
    cache.pull("app", by_digest, at=NOW)

    cache.run(cache.size() - 1)
    assert {tag for _, tag in cache.tags()} == ({"first"} if access_times else {"second"})
    assert ("noatime" in capsys.readouterr().out) is not access_times


def test_a_run_leaves_no_trace_that_looks_like_a_pull(cache):
    for number in range(4):
        cache.image("app", str(number), str(number) * 1000, at=NOW + number)
    links = [*cache.home("app").rglob("link")]
    times = {link: (link.stat().st_atime, link.stat().st_mtime) for link in links}

    cache.run(cache.size() - 1)
    left = {link: times[link] for link in links if link.exists()}
    assert 0 < len(left) < len(times)
    assert {link: (link.stat().st_atime, link.stat().st_mtime) for link in left} == left


def test_what_a_killed_mirror_had_begun_to_store_goes(cache):
    cache.image("app", "1", "a")
    upload = cache.home("app") / "_uploads" / "f3c1" / "data"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"half a layer")

    cache.run(10**9)
    assert not upload.exists() and len(cache.manifests()) == 1


def test_damaged_images_and_tags_go_first(cache, capsys):
    cache.image("app", "good", "a" * 1000, at=NOW - 9 * DAY)
    damaged = cache.image("app", "damaged", "b" * 1000, at=NOW)
    cache.data(damaged).write_bytes(b"{" * 500)
    cache.images.tag("app", "empty", damaged)
    (cache.home("app") / "_manifests" / "tags" / "empty" / "current" / "link").write_text("")

    cache.run(1500)
    assert {tag for _, tag in cache.tags()} == {"good"}
    assert "removed app:damaged, damaged" in capsys.readouterr().out


def test_a_repository_below_one_that_goes_stays(cache):
    cache.image("team", "1", "a" * 1000, at=NOW - DAY)
    cache.image("team/app", "1", "b" * 1000, at=NOW)

    cache.run(cache.size() - 1)
    assert cache.tags().keys() == {("team/app", "1")}


def test_a_cache_that_cannot_be_read_is_told_and_does_not_keep_the_mirror_from_starting(cache, capsys):
    (cache.root / "blobs").mkdir(parents=True)
    (cache.root / "blobs" / "sha256").mkdir()
    (cache.root / "repositories").write_text("no directory")
    cache.images.blob(b"x" * 1000)

    assert cache.run(1) == 0
    told = capsys.readouterr()
    assert "may be above its limit still: " in json.loads(told.out.splitlines()[-1])["problem"]
    assert str(cache.root / "repositories") in told.err


@pytest.mark.parametrize("limit", [{}, {"LIMIT": "1000000"}])
def test_a_state_file_that_a_kill_emptied_goes_from_every_mirror(cache, limit):
    cache.image("app", "1", "a" * 1000)
    (cache.directory / "scheduler-state.json").write_text("")

    assert main({"STORE": str(cache.directory), **limit}) == 0
    assert not (cache.directory / "scheduler-state.json").exists()
    assert cache.tags().keys() == {("app", "1")}


def test_without_a_limit_nothing_else_changes(cache, capsys):
    cache.image("app", "1", "a" * 1000)
    before = {path: path.stat().st_mtime_ns for path in cache.directory.rglob("*")}

    assert main({"STORE": str(cache.directory)}) == 0
    assert {path: path.stat().st_mtime_ns for path in cache.directory.rglob("*")} == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        (lambda *_: bytearray(10**12), "it needs more memory"),
        (lambda *_: 1 // 0, "ZeroDivisionError"),
        (lambda *_: os.kill(os.getpid(), signal.SIGKILL), "it ended with -9"),
        (lambda *_: time.sleep(60), "it took longer than 1 s"),
    ],
)
def test_an_eviction_that_fails_in_any_way_does_not_keep_the_mirror_from_starting(
    cache, capsys, monkeypatch, fails, reason
):
    cache.image("app", "1", "a" * 1000)
    (cache.directory / "scheduler-state.json").write_text("{")
    monkeypatch.setattr(script, "shrink", fails)
    monkeypatch.setattr(script, "SECONDS", 1)

    assert cache.run(1) == 0
    assert not (cache.directory / "scheduler-state.json").exists()
    told = capsys.readouterr()
    problem = json.loads(told.out.splitlines()[-1])["problem"]
    assert problem.startswith("the cache may be above its limit still: ") and reason in problem
    assert problem in told.err


# What must hold for every cache, tried on many small ones made by chance, always the same.


def fill(cache, random):
    for repository in random.sample(("library/a", "library/b", "c"), random.randint(1, 3)):
        known = []
        for _ in range(random.randint(1, 8)):
            at = NOW - random.randint(0, 10_000)
            if known and random.random() < 0.3:
                children = random.sample(known, min(2, len(known)))
                digest = cache.images.index(repository, *children, "sha256:" + 64 * "0", pushed=at)
            else:
                layers = [letter * 100 for letter in random.sample("abcdefgh", random.randint(1, 3))]
                digest = cache.images.manifest(repository, layers, at)
            known.append(digest)
            cache.pull(repository, digest, random.choice((None, "1", "2", "3", "4")), at)
        for digest in random.sample(known, random.randint(0, len(known))):
            cache.pull(repository, digest, at=NOW - random.randint(0, 10_000))
    for number in range(random.randint(0, 2)):
        cache.images.blob(f"lost {number}".encode())


def last_use(cache):
    """Give when each manifest was last pulled, by itself or by an index that names it."""
    own = {}
    for repository, digest in cache.manifests():
        home = cache.home(repository) / "_manifests"
        links = [home / "revisions" / digest.replace(":", "/") / "link"]
        tags = [tag for (of, tag), to in cache.tags().items() if (of, to) == (repository, digest)]
        links += [home / "tags" / tag / "current" / "link" for tag in tags]
        times = [link.stat() for link in links]
        own[repository, digest] = max(max(time.st_atime, time.st_mtime) for time in times)
    used = dict(own)
    for _ in own:
        for repository, digest in own:
            for child in parse(cache.data(digest).read_bytes()).children:
                if (repository, child) in used:
                    used[repository, child] = max(used[repository, child], used[repository, digest])
    return used


@pytest.fixture(params=SEEDS)
def case(request, cache):
    random = Random(request.param)  # noqa: S311 - nothing secret
    fill(cache, random)
    return cache, int(cache.size() * random.random()), random


def assert_whole(cache, before):
    """Assert that what is left is what was there, with every blob that it had."""
    left = cache.manifests()
    assert all(before[place] == parts for place, parts in left.items()), "an image has lost something"
    assert all((of, digest) in left for (of, _), digest in cache.tags().items()), "a tag points at nothing"


def test_the_rest_fits_is_whole_and_was_used_last(case, capsys):
    cache, limit, _ = case
    before, used = cache.manifests(), last_use(cache)
    sizes = {blob: cache.data(blob).stat().st_size for parts in before.values() for blob in parts}

    cache.run(limit)
    left = cache.manifests()
    assert cache.size() <= 0.9 * limit
    assert_whole(cache, before)
    gone = before.keys() - left.keys()
    assert report(capsys)["removed"] == len(gone)
    assert max((used[place] for place in gone), default=0) <= min(
        (used[place] for place in left), default=NOW
    )
    kept = {blob for parts in left.values() for blob in parts}
    assert {f"sha256:{data.parent.name}" for data in cache.root.glob("blobs/*/*/*/data")} == kept
    assert all(entry.partition("@")[2] in kept for entry in cache.state())
    layers = {(of, blob) for (of, digest), parts in left.items() for blob in parts - {digest}}
    assert cache.layers() <= layers, "a repository has a layer that none of its images has"
    last = [place for place in gone if used[place] == max(used[each] for each in gone)]
    fuller = [sum(sizes[blob] for blob in kept | before[place]) for place in last]
    assert not gone or max(fuller) > int(0.9 * limit), "more went than had to"


def test_a_run_that_is_cut_off_leaves_whole_images_and_the_next_one_goes_on(case, monkeypatch):
    cache, limit, random = case
    before, left = cache.manifests(), random.randint(0, 8)

    def cut_off_later(name, dir_fd):
        nonlocal left
        left -= 1
        if left < 0:
            directory = Path(f"/proc/self/fd/{dir_fd}").readlink() / name
            for file in [each for each in directory.rglob("*") if each.is_file() and random.random() < 0.5]:
                file.unlink()
            raise KeyboardInterrupt
        remove(name, dir_fd=dir_fd)

    remove = shutil.rmtree
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", cut_off_later)
        cache.run(limit)

    assert_whole(cache, before)
    cache.run(limit)
    assert cache.size() <= limit
    assert_whole(cache, before)
    if (cache.directory / "scheduler-state.json").exists():
        for key, entry in cache.state().items():
            repository, _, digest = key.partition("@")
            kind = "_manifests/revisions" if entry["EntryType"] else "_layers"
            assert (cache.home(repository) / kind / digest.replace(":", "/") / "link").exists(), key
            assert cache.data(digest).exists(), key
