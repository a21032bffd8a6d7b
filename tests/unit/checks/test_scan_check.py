import json

import pytest

from checks.errors import CheckError
from checks.scan import kept_words, last_scan, scan_now

JOB = "docker-registry-scan"
IMAGE = {"repository": "app", "severe": [{"id": "CVE-1"}]}
REPORT = {"images": [IMAGE], "summary": {"severe": 1, "failed": 0}}


def ok(body):
    return {"status": 200, "body": body}


def report(*lines):
    return {"status": 200, "body": "".join(f"{json.dumps(line)}\n" for line in lines)}


def run(number, status="dead", parent=JOB):
    return {"ID": f"{parent}/periodic-{number}", "ParentID": parent, "Status": status, "SubmitTime": number}


def allocation(name, status="complete"):
    failed = status == "failed"
    return {
        "ID": name,
        "ClientStatus": status,
        "TaskStates": {"scan": {"Failed": failed, "Events": []}},
    }


@pytest.fixture
def settings(ready):
    return ready(sections={"maintenance": {"scan": {}}})


@pytest.fixture
def answers():
    return {
        "/v1/jobs": ok([run(1), run(2), run(3, "running"), run(9, parent=f"{JOB}-other")]),
        f"/v1/job/{JOB}/periodic-1/allocations": ok([allocation("a1")]),
        f"/v1/job/{JOB}/periodic-2/allocations": ok([allocation("a2")]),
        "/v1/client/fs/cat/a1": report({"summary": {"old": True}}),
        "/v1/client/fs/cat/a2": report(IMAGE, {"summary": REPORT["summary"]}),
    }


def test_the_last_scan_is_the_newest_run_that_ended(servers, settings, answers):
    assert last_scan(servers(settings, answers).nomad, settings) == REPORT


def test_a_run_that_nomad_has_cleaned_up_gives_way_to_an_older_one(servers, settings, answers):
    answers[f"/v1/job/{JOB}/periodic-2/allocations"] = ok([])
    assert last_scan(servers(settings, answers).nomad, settings)["summary"] == {"old": True}

    answers["/v1/jobs"] = ok([])
    assert last_scan(servers(settings, answers).nomad, settings) is None


def test_a_last_run_that_failed_is_told_in_its_own_words_and_hides_behind_no_older_one(
    servers, settings, answers
):
    answers[f"/v1/job/{JOB}/periodic-2/allocations"] = ok([allocation("a2", "failed")])
    answers["/v1/allocation/a2"] = ok(allocation("a2", "failed"))
    answers["/v1/client/fs/cat/a2"] = {"status": 500, "body": "no such file or directory"}
    answers["/v1/client/fs/logs/a2?type=stderr"] = ok("the database is away\n")

    with pytest.raises(CheckError, match="task scan failed:\n  the database is away"):
        last_scan(servers(settings, answers).nomad, settings)


def test_what_a_scan_found_before_it_was_cut_off_is_told_with_the_reason(servers, settings, answers):
    answers |= {
        f"/v1/job/{JOB}/periodic/force": ok({"EvalID": "e1"}),
        "/v1/evaluation/e1": ok({"JobID": f"{JOB}/periodic-2"}),
        f"/v1/job/{JOB}/periodic-2/allocations": ok([allocation("a2", "failed")]),
        "/v1/allocation/a2": ok(allocation("a2", "failed")),
        "/v1/client/fs/cat/a2": {"status": 200, "body": f'{json.dumps(IMAGE)}\n{{"repos'},
        "/v1/client/fs/logs/a2?type=stderr": ok("killed\n"),
    }
    nomad = servers(settings, answers).nomad

    for found in (last_scan(nomad, settings), scan_now(nomad, settings, lambda _: None)):
        assert found["images"] == [IMAGE]
        assert found["summary"]["severe"] == found["summary"]["failed"] == 1
        words = found["summary"]["words"]
        assert words.startswith("the scan was cut off after 1 images: ") and words.endswith("failed: killed")


def test_a_scan_that_could_not_tell_consul_failed_although_its_report_is_whole(servers, settings, answers):
    answers |= {
        f"/v1/job/{JOB}/periodic/force": ok({"EvalID": "e1"}),
        "/v1/evaluation/e1": ok({"JobID": f"{JOB}/periodic-2"}),
        f"/v1/job/{JOB}/periodic-2/allocations": ok([allocation("a2", "failed")]),
        "/v1/allocation/a2": ok(allocation("a2", "failed")),
        "/v1/client/fs/logs/a2?type=stderr": ok("Consul is away\n"),
    }

    with pytest.raises(CheckError, match="Consul is away"):
        scan_now(servers(settings, answers).nomad, settings, lambda _: None)


def test_a_scan_of_now_is_followed_and_its_own_report_is_read(servers, settings, answers):
    answers |= {
        f"/v1/job/{JOB}/periodic/force": ok({"EvalID": "e1"}),
        "/v1/evaluation/e1": ok({"JobID": f"{JOB}/periodic-2"}),
        "/v1/allocation/a2": ok(allocation("a2")),
        "/v1/client/fs/logs/a2?type=stdout": ok("one line\n"),
    }
    said = []

    assert scan_now(servers(settings, answers).nomad, settings, said.append) == REPORT
    assert said == ["one line"]


def test_without_a_report_the_check_in_consul_tells_what_it_kept(servers, settings):
    checks = [{"Status": "critical", "Output": "2 images scanned\napp:1: 3"}]
    consul = servers(settings, {"/v1/health/checks/registry-scan": ok(checks)}).consul
    assert kept_words(consul, settings).endswith("Consul keeps of it: critical\n2 images scanned\napp:1: 3")


def test_before_the_first_scan_there_is_nothing_to_tell(servers, settings):
    consul = servers(settings, {"/v1/health/checks/registry-scan": ok([])}).consul
    assert kept_words(consul, settings).startswith("there was no scan yet")


def test_a_stack_that_does_not_scan_is_told_how_to(servers, ready):
    with pytest.raises(CheckError, match=r"docker-registry:maintenance\.scan is not set"):
        last_scan(servers(ready(), {}).nomad, ready())
