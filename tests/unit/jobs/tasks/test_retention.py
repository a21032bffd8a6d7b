import json
import time
from pathlib import Path

import pytest

from jobs.tasks.retention import main

DAY = 86_400
NOW = 1000 * DAY


@pytest.fixture
def task(images, tmp_path):
    """What Nomad gives the task; the registry is frozen."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frozen").touch()
    rules = [{"repositories": ["ci/*"], "keepNewest": 1}]
    return {
        "MODE": "plan",
        "RULES": json.dumps(rules),
        "STORE": str(images.directory),
        "NOMAD_ALLOC_DIR": str(tmp_path),
        "NOMAD_META_at": str(NOW),
    }


@pytest.fixture
def run(task, capsys):
    """Run the script; gives its exit code, what it printed as data, and its complaint."""

    def start(**changes):
        code = main({**task, **changes})
        printed = capsys.readouterr()
        return code, [json.loads(line) for line in printed.out.splitlines()], printed.err

    return start


@pytest.fixture
def app(images):
    """Two images, of which one goes."""
    return [images.image("ci/app", name, pushed=NOW - age * DAY) for name, age in (("old", 2), ("new", 1))]


def tags(images):
    return sorted(each.name for each in (images.manifests("ci/app") / "tags").iterdir())


def test_a_plan_is_a_line_for_each_repository_and_a_summary(images, run, app):
    images.image("ci/broken", "v1")
    (images.manifests("ci/broken") / "tags" / "v1" / "current" / "link").write_text("")

    code, (repository, broken, last), _ = run()
    assert code == 0
    assert repository["repository"] == "ci/app" and repository["staying"] == 1
    assert repository["tags"] == [
        {"name": "old", "digest": app[0], "pushed": NOW - 2 * DAY, "why": "not among the newest 1"}
    ]
    assert repository["manifests"] == [{"digest": app[0], "why": "was old"}]
    assert broken.keys() == {"repository", "rule", "leftAlone"}
    assert (
        last["summary"].items()
        >= {"at": NOW, "tags": 1, "manifests": 1, "bytes": repository["bytes"]}.items()
    )
    assert tags(images) == ["new", "old"]


def test_apply_does_what_was_shown(images, run, app):
    shown = run()[1]

    code, done, _ = run(MODE="apply", NOMAD_META_plan=shown[-1]["summary"]["plan"])
    assert (code, done) == (0, shown)
    assert tags(images) == ["new"]


@pytest.mark.parametrize("at", [str(NOW + 900 * DAY), "9e9"])
def test_a_time_without_its_plan_makes_nothing_old(images, run, app, at, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)
    rules = json.dumps([{"repositories": ["*"], "keepYoungerThan": 30 * DAY}])

    code, (last,), _ = run(MODE="apply", NOMAD_META_at=at, RULES=rules)
    assert code == 0
    assert (last["summary"]["at"], last["summary"]["tags"]) == (NOW, 0)


@pytest.mark.parametrize("at", ["9e9", "inf", "nan"])
def test_a_plan_of_the_future_is_one_of_now(run, app, at, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)
    rules = json.dumps([{"repositories": ["*"], "keepYoungerThan": 30 * DAY}])

    shown = run(NOMAD_META_at=at, RULES=rules)[1][-1]["summary"]
    assert (shown["at"], shown["tags"]) == (NOW, 0)
    done = run(MODE="apply", NOMAD_META_at=at, NOMAD_META_plan=shown["plan"], RULES=rules)[1][-1]["summary"]
    assert done == shown


def test_a_second_run_removes_nothing(images, run, app):
    run(MODE="apply")

    code, (last,), _ = run(MODE="apply")
    assert code == 0
    assert (last["summary"]["tags"], last["summary"]["manifests"], last["summary"]["bytes"]) == (0, 0, 0)


def test_apply_removes_nothing_if_the_store_changed_since_it_was_shown(images, run, app):
    shown = run()[1][-1]["summary"]["plan"]
    images.image("ci/app", "newer", pushed=NOW)

    code, done, complaint = run(MODE="apply", NOMAD_META_plan=shown)
    assert (code, done) == (1, [])
    assert complaint.startswith("nothing is removed: what would go is not what it was when it was shown")
    assert tags(images) == ["new", "newer", "old"]


@pytest.mark.usefixtures("app")
def test_apply_waits_until_the_registry_is_frozen(images, run, task, monkeypatch):
    frozen = Path(task["NOMAD_ALLOC_DIR"], "data", "frozen")
    frozen.unlink()
    seen = []

    def wait(_):
        seen.append(tags(images))
        frozen.touch()

    monkeypatch.setattr("time.sleep", wait)
    assert run(MODE="apply")[0] == 0
    assert (seen, tags(images)) == ([["new", "old"]], ["new"])


def test_a_rule_that_keeps_nothing_removes_nothing(images, run, app):
    code, _, complaint = run(MODE="apply", RULES='[{"repositories": ["*"], "keepTags": []}]')

    assert code == 1
    assert "the rule for * keeps nothing" in complaint
    assert tags(images) == ["new", "old"]


def test_a_tag_that_cannot_be_read_is_not_taken_for_one_that_is_gone(images, run, app):
    link = images.manifests("ci/app") / "tags" / "new" / "current" / "link"
    link.unlink()
    link.mkdir()

    code, (repository, _), _ = run(MODE="apply")
    assert code == 0
    assert str(link) in repository["leftAlone"]
