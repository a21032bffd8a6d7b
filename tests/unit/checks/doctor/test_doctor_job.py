import copy

import pytest

from checks.doctor.job import (
    allocation_runs,
    deployment_succeeded,
    job_as_wanted,
    job_deployed,
    jobs_live,
    node_takes_work,
    task_stays_up,
)

NOW = 1_800_000_000
JOB = "/v1/job/docker-registry"


def event(kind, seconds_ago=60, **details):
    at = (NOW - seconds_ago) * 1_000_000_000
    return {"Type": kind, "Time": at, "DisplayMessage": f"{kind}!", "Details": details}


@pytest.fixture
def with_events(well):
    """Answers in which the registry's task has these events."""

    def make(*events):
        answer = copy.deepcopy(well[f"{JOB}/allocations"])
        for allocation in answer["body"]:
            for state in allocation["TaskStates"].values():
                state["Events"] = list(events)
        return {f"{JOB}/allocations": answer}

    return make


def test_a_job_that_runs_is_ok_in_every_respect(look):
    same = {f"nomad {JOB}/plan": {"status": 200, "body": {"Diff": {"Type": "None"}}}}

    for check in (job_deployed, allocation_runs, deployment_succeeded, job_as_wanted, task_stays_up):
        assert look(check, same).state == "ok", check


def test_a_job_that_is_not_there_is_deployed_by_pulumi(look):
    found = look(job_deployed, {JOB: {"status": 404, "body": "job not found"}})

    assert found.what == "Nomad at http://127.0.0.1:4646 has no job docker-registry"
    assert found.fix == "pulumi up --stack dev"


def test_a_job_that_was_stopped_is_a_failure(look, well):
    stopped = {JOB: {"status": 200, "body": {**well[JOB]["body"], "Stop": True}}}

    assert look(job_deployed, stopped).what == "job docker-registry was stopped"
    assert look(allocation_runs, stopped).state == "not looked at"


def test_an_allocation_that_failed_is_told_with_nomads_reason(look, recorded):
    found = look(allocation_runs, recorded("image-pull"))

    assert found.state == "failure"
    assert "Failed to pull" in found.what
    assert found.fix == "python -m ops why --stack dev"


def test_a_job_that_fits_nowhere_is_told_with_nomads_reason(look, recorded):
    answers = recorded("no-memory")

    found = look(allocation_runs, {**answers, "nomad /v1/nodes": answers["/v1/nodes"]})

    assert "exhausted: memory" in found.what


def test_a_version_that_nomad_took_back_is_a_warning_with_the_command_that_tries_it_again(look, recorded):
    found = look(deployment_succeeded, recorded("reverted"))

    assert found.state == "warning"
    assert "nomad job revert -address=http://127.0.0.1:4646 -namespace=default docker-registry" in found.fix


def test_a_job_that_is_another_one_than_the_settings_say_is_a_warning(look):
    diff = {"Type": "Edited", "Fields": [{"Type": "Edited", "Name": "Priority", "Old": "50", "New": "60"}]}
    found = look(job_as_wanted, {f"nomad {JOB}/plan": {"status": 200, "body": {"Diff": diff}}})

    assert found.state == "warning"
    assert found.fix.startswith("pulumi up --stack dev\npython -m ops drift --stack dev")


def test_a_token_that_may_not_plan_leaves_the_job_unknown(look):
    found = look(job_as_wanted, {f"nomad {JOB}/plan": {"status": 403, "body": "Permission denied"}})

    assert found.state == "not looked at"
    assert 'needs `submit-job` in namespace "default"' in found.what


def test_a_task_that_died_is_told_with_how_often_and_when(look, with_events):
    died = event("Terminated", exit_code="2")
    # Of the first end nobody knows any more why it was.
    found = look(task_stays_up, with_events(died, event("Started"), died, event("Started"), died))

    assert found.state == "warning"
    assert found.what == "the task died 2 times within a day, last at 2027-01-15 07:59 UTC: Terminated!"
    assert found.fix.startswith("nomad alloc logs -stderr -address=http://127.0.0.1:4646")


def test_a_task_that_ran_out_of_memory_is_to_get_more(look, with_events):
    found = look(task_stays_up, with_events(event("Started"), event("Terminated", oom_killed="true")))

    assert "docker-registry:registry.memory 1024" in found.fix


@pytest.mark.parametrize("before", ["Restart Signaled", "Killing"])
def test_a_task_that_nomad_restarted_itself_did_not_die(look, with_events, before):
    ended = with_events(event("Started"), event(before), event("Terminated", exit_code="2"))

    assert look(task_stays_up, ended).state == "ok"


def test_a_task_that_ended_well_did_not_die(look, with_events):
    ended = with_events(event("Started"), event("Terminated", exit_code="0"))

    assert look(task_stays_up, ended).state == "ok"


def test_a_death_of_long_ago_does_not_matter(look, with_events):
    assert look(task_stays_up, with_events(event("Started"), event("Terminated", 100_000))).state == "ok"


@pytest.mark.parametrize(
    ("status", "eligibility", "state", "fix"),
    [
        ("ready", "eligible", "ok", None),
        (
            "ready",
            "ineligible",
            "warning",
            "nomad node eligibility -address=http://127.0.0.1:4646 -enable n1",
        ),
        ("down", "eligible", "failure", "systemctl start nomad   # on nas"),
    ],
)
def test_a_machine_that_takes_no_work_is_told_before_the_job_needs_it(look, status, eligibility, state, fix):
    volumes = {"registry_data": {"Path": "/srv/registry_data", "ReadOnly": False}}
    node = {"ID": "n1", "Name": "nas", "Status": status, "SchedulingEligibility": eligibility}
    answer = {"status": 200, "body": [{**node, "HostVolumes": volumes}]}

    found = look(node_takes_work, {"nomad /v1/nodes": answer})

    assert (found.state, found.fix) == (state, fix)


def test_another_job_that_is_dead_is_started_by_up(look, well):
    stopped = {**well[JOB]["body"], "ID": "docker-registry-gc", "Stop": True}

    found = look(jobs_live, {f"{JOB}-gc": {"status": 200, "body": stopped}})

    assert (found.state, found.fix) == ("failure", "pulumi up --stack dev")
    assert found.what == "job docker-registry-gc was stopped"
    assert look(jobs_live).state == "ok"


def test_a_job_whose_first_deploy_failed_is_dead_for_the_reason_that_nomad_noted(look, recorded):
    answers = recorded("image-pull")
    for allocation in answers[f"{JOB}/allocations"]["body"]:
        for state in allocation["TaskStates"].values():
            state["Events"].append({**event("Alloc Unhealthy"), "DisplayMessage": "of failed task"})

    for check in (job_deployed, allocation_runs):
        found = look(check, answers)
        assert found.state == "failure", check
        assert "Driver Failure: Failed to pull `localhost:1/none:1`" in found.what, check
