import json

import pytest

from checks.retention import Run

DIGEST = f"sha256:{'a' * 64}"
PART = f"sha256:{'b' * 64}"
TAG = {"name": "pr-7", "digest": DIGEST, "pushed": 1_700_000_000, "why": "not named like v*"}
APP = {
    "repository": "ci/app",
    "rule": "ci/*",
    "staying": 2,
    "bytes": 2_500_000,
    "tags": [TAG],
    "manifests": [{"digest": DIGEST, "why": "was pr-7"}, {"digest": PART, "why": "belongs to one that goes"}],
}
WEB = {"repository": "ci/web", "rule": "ci/*", "leftAlone": "every tag would go"}
SUMMARY = {"at": 1.5, "plan": "f00d", "tags": 1, "manifests": 2, "bytes": 2_500_000}
NOTHING = {**SUMMARY, "tags": 0, "manifests": 0, "bytes": 0}


class Nomad:
    def __init__(self):
        self.shown = Run([APP, WEB], SUMMARY)
        self.applied = []

    def plan(self, *_):
        return self.shown

    def apply(self, _nomad, _settings, shown):
        self.applied.append(shown)
        return self.shown


@pytest.fixture
def nomad(monkeypatch, pulumi):
    """Plays the jobs; checks/retention.py is tested by itself."""
    pulumi.configure(
        {
            "nomad:address": "http://127.0.0.1:4646",
            "consul:address": "127.0.0.1:8500",
            "vault:address": "http://127.0.0.1:8200",
        }
    )
    played = Nomad()
    monkeypatch.setattr("ops.retention.ask", played.plan)
    monkeypatch.setattr("ops.retention.ask_to_apply", played.apply)
    return played


def test_plan_is_a_table_of_what_goes_and_why(ops, nomad):
    ended = ops("retention", "plan")

    lines = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    assert ended.exit_code == 0
    assert lines[1] == f"ci/app pr-7 {DIGEST[:19]} 2023-11-14 22:13 not named like v*"
    assert lines[2] == f"ci/app {PART[:19]} belongs to one that goes"
    assert "ci/web is left alone: every tag would go" in ended.stdout
    assert "1 tag and 2 manifests (2.4 MiB) go: `python -m ops retention apply`" in ended.stdout
    assert nomad.applied == []


def test_plan_as_json_has_everything(ops, nomad):
    assert json.loads(ops("retention", "plan", "--json").stdout) == {
        "repositories": [APP, WEB],
        "summary": SUMMARY,
    }


def test_apply_asks_and_a_no_removes_nothing(ops, nomad):
    ended = ops("retention", "apply", text="n\n")

    assert ended.exit_code == 1
    assert "pr-7" in ended.stdout and "Remove 1 tag and 2 manifests (2.4 MiB) for good?" in ended.stdout
    assert nomad.applied == []


def test_apply_removes_just_what_it_showed(ops, nomad):
    ended = ops("retention", "apply", text="y\n")

    assert ended.exit_code == 0
    assert nomad.applied == [SUMMARY]
    assert "removed 1 tag and 2 manifests (2.4 MiB); the next garbage collection" in ended.stdout


def test_apply_with_yes_does_not_ask_and_shows_what_went(ops, nomad):
    ended = ops("retention", "apply", "--yes")

    assert nomad.applied == [None]
    assert "pr-7" in ended.stdout and "for good?" not in ended.stdout


def test_where_nothing_goes_nobody_is_asked(ops, nomad):
    nomad.shown = Run([], NOTHING)

    assert ops("retention", "plan").stdout == "nothing goes\n"
    assert ops("retention", "apply").stdout == "nothing goes\n"
    assert nomad.applied == []
