import pytest

from checks.doctor.facts import Facts
from checks.doctor.maintenance import maintenance_done, reports_good, takes_pushes
from checks.status import Answer

VARIABLE = "/v1/var/nomad/jobs/docker-registry"
OWNER = "0f0f0f0f-0000-0000-0000-000000000001"


def held_by(owner, job="docker-registry-gc"):
    items = {"mode": "read-only", "owner": owner, "job": job, "since": "2026-01-01T00:00:00Z"}
    return {VARIABLE: {"status": 200, "body": {"ModifyIndex": 7, "Items": items}}}


def allocation(state):
    return {f"/v1/allocation/{OWNER}": {"status": 200, "body": {"ClientStatus": state}}}


@pytest.mark.parametrize(
    ("answers", "state", "fix"),
    [
        ({}, "ok", None),
        ({**held_by(OWNER), **allocation("running")}, "ok", None),
        ({**held_by(OWNER), **allocation("complete")}, "failure", "python -m ops thaw --yes --stack dev"),
        (held_by(OWNER), "failure", "python -m ops thaw --yes --stack dev"),
        (held_by("", job=""), "warning", "python -m ops thaw --yes --stack dev"),
    ],
    ids=["none", "job works", "job has ended", "job is gone", "by hand"],
)
def test_a_registry_that_stayed_read_only_is_to_be_thawed(look, answers, state, fix):
    found = look(takes_pushes, answers)

    assert (found.state, found.fix) == (state, fix)


NOMAD = "-address=http://127.0.0.1:4646 -namespace=default"
READONLY = {"storage": {"maintenance": {"readonly": {"enabled": True}}}}


@pytest.mark.parametrize(
    ("mode", "config", "fix"),
    [
        ("read-only", {}, f"nomad alloc restart {NOMAD} {OWNER}"),
        ("read-only", READONLY, None),
        ("read-write", {}, None),
    ],
    ids=["not noticed", "by the stack", "writable"],
)
def test_a_registry_that_is_read_only_for_nobody_is_to_be_restarted(look, monkeypatch, mode, config, fix):
    answer = Answer(url="http://127.0.0.1:5000/", code=200, mode=mode, error=None)
    monkeypatch.setattr(Facts, "answer", lambda facts: answer)
    monkeypatch.setattr(Facts, "allocation", lambda facts: {"ID": OWNER})

    found = look(takes_pushes, sections={"registry": {"config": config}})

    assert (found.state, found.fix) == ("failure" if fix else "ok", fix)


def test_a_token_that_may_not_read_who_holds_it_leaves_it_unknown(look):
    found = look(takes_pushes, {VARIABLE: {"status": 403, "body": "Permission denied"}})

    assert found.state == "not looked at"
    assert "the token needs read" in found.what


NOW, DAY = 1_800_000_000, 24 * 3600
COLLECTED = {"maintenance": {"garbageCollection": {"schedule": "17 4 * * 0"}}}
BACKED_UP = {"maintenance": {"backup": {}, "scan": {}}}


def recorded_runs(submitted=0, **ended):
    """Nomad's answers for a collection that was deployed and ended so many days ago."""
    items = {key: str(int(NOW - days * DAY)) for key, days in ended.items()}
    job = {"SubmitTime": int((NOW - submitted * DAY) * 1e9)}
    return {
        "/v1/job/docker-registry-gc": {"status": 200, "body": job},
        "/v1/var/nomad/jobs/docker-registry-gc": {"status": 200, "body": {"Items": items}},
    }


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        (recorded_runs(succeeded=3), "ok", "gc ran 3 days ago"),
        (recorded_runs(succeeded=1), "ok", "gc ran 24 hours ago"),
        (recorded_runs(succeeded=0.02), "ok", "gc ran 29 minutes ago"),
        (recorded_runs(submitted=3), "ok", "gc is not due yet"),
        (recorded_runs(succeeded=9), "warning", "docker-registry-gc last went well 9 days ago"),
        (recorded_runs(succeeded=3, failed=0.5), "warning", "failed, 12 hours ago"),
        (recorded_runs(succeeded=1, failed=3), "ok", "gc ran"),
        (recorded_runs(submitted=9), "warning", "docker-registry-gc never went well"),
        ({}, "warning", "Nomad has no job docker-registry-gc"),
    ],
)
def test_a_collection_that_failed_or_is_late_is_a_warning(look, answers, state, words):
    found = look(maintenance_done, answers, sections=COLLECTED)

    assert found.state == state
    assert words in found.what
    assert found.fix == (None if state == "ok" else "python -m ops gc --yes --stack dev")


def test_what_ran_well_is_told_beside_what_did_not(look):
    both = {"maintenance": {**COLLECTED["maintenance"], **BACKED_UP["maintenance"]}}

    found = look(maintenance_done, recorded_runs(succeeded=3), sections=both)

    assert (found.state, found.what) == (
        "warning",
        "Nomad has no job docker-registry-backup; gc ran 3 days ago",
    )


def test_a_stack_without_maintenance_has_nothing_to_be_late(look):
    assert look(maintenance_done).state == look(reports_good).state == "not looked at"


def reports(**states):
    def instance(name, state):
        node = {"ServiceName": "", "Status": "passing", "Output": "Agent alive and reachable"}
        own = {"ServiceName": name, "Status": state, "Output": "told\nmore"}
        return {"Service": {"Meta": {"reported": str(NOW - 5 * DAY)}}, "Checks": [node, own]}

    return {
        f"/v1/health/service/registry-{kind}": {
            "status": 200,
            "body": [instance(f"registry-{kind}", state)],
        }
        for kind, state in states.items()
    }


def test_good_reports_of_drill_and_scan_are_ok(look):
    none_yet = {
        f"/v1/health/service/registry-{kind}": {"status": 200, "body": []} for kind in ("drill", "scan")
    }

    good = look(reports_good, reports(drill="passing", scan="passing"), sections=BACKED_UP)
    assert good.state == "ok"
    assert good.what == "registry-drill reported well, 5 days ago; registry-scan reported well, 5 days ago"
    missing = look(reports_good, none_yet, sections=BACKED_UP)
    assert missing.what == "registry-drill has not reported yet; registry-scan has not reported yet"
    assert missing.fix.splitlines() == [
        "python -m ops backup verify --stack dev",
        "python -m ops scan --now --stack dev",
    ]


def test_a_bad_report_is_told_with_its_first_line(look):
    found = look(reports_good, reports(drill="critical", scan="passing"), sections=BACKED_UP)

    assert found.state == "warning"
    assert found.what == "registry-drill: told; registry-scan reported well, 5 days ago"
    assert found.fix == "python -m ops backup verify --stack dev"
