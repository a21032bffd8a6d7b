import json
import os
import time

import pytest

from jobs.tasks.report import main

DAY = 86_400


@pytest.fixture
def run(images, capsys):
    """Run the script; gives what it says of each repository, and the summary."""

    def start(*rules):
        assert main({"STORE": str(images.directory), "RULES": json.dumps(rules)}) == 0
        *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
        return {line["repository"]: line for line in lines}, last["summary"]

    return start


def data(images):
    return list(images.root.glob("blobs/sha256/*/*/data"))


def size(images):
    return sum(file.stat().st_size for file in data(images))


def test_what_repositories_share_counts_once_in_the_total_and_in_each_of_them(images, run):
    images.image("a", "1", "shared " * 100, "of a")
    images.image("b", "1", "shared " * 100, "of b")

    found, summary = run()

    assert summary["bytes"] == summary["used"] == size(images)
    assert summary["blobs"] == len(data(images))
    shared = {each["digest"]: each["bytes"] for each in summary["shared"]}
    assert set(shared.values()) == {700, len("{}")}
    assert found["a"]["bytes"] == found["a"]["own"] + sum(shared.values())
    assert found["a"]["own"] + found["b"]["own"] + sum(shared.values()) == size(images)


def test_a_tag_has_the_size_of_all_that_a_pull_would_load(images, run):
    children = [images.manifest("a", [f"layer for platform {number}"]) for number in range(2)]
    images.tag("a", "1", images.index("a", *children), pushed=5)

    [tag] = run()[0]["a"]["tags"]

    assert (tag["name"], tag["pushed"], tag["bytes"]) == ("1", 5, size(images))


def test_what_no_image_needs_is_in_the_total_alone(images, run):
    images.image("a", "1", "layer")
    images.blob(b"rubbish")

    summary = run()[1]

    assert summary["bytes"] - summary["used"] == len(b"rubbish")


def test_growth_is_what_was_there_at_the_end_of_each_day(images, run):
    images.image("a", "1", "layer")
    now = time.time()
    for file in data(images):
        os.utime(file, (now, now))
    old = images.blob(b"of three days ago")
    os.utime(next(file for file in data(images) if file.parent.name in old), (now - 3 * DAY,) * 2)

    growth = run()[1]["growth"]

    assert [there for _, there in growth] == [len(b"of three days ago"), size(images)]


def test_what_retention_would_remove_is_told_by_repository(images, run):
    now = time.time()
    images.image("ci/app", "old", "old", pushed=now - 9 * DAY)
    images.image("ci/app", "new", "new", pushed=now)

    found, _ = run({"repositories": ["ci/*"], "keepNewest": 1})

    assert found["ci/app"]["leaving"]["tags"] == 1
    assert 0 < found["ci/app"]["leaving"]["bytes"] < found["ci/app"]["bytes"]


def test_a_repository_that_cannot_be_read_is_named_and_the_others_are_told(images, run):
    images.image("a", "1", "layer")
    images.image("b", "1", "layer")
    (images.manifests("a") / "tags/1/current/link").write_text("")

    found, _ = run()

    assert "tag 1 has no digest" in found["a"]["damaged"]
    assert len(found["b"]["tags"]) == 1
