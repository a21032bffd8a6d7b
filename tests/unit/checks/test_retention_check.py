import json

import pytest

from checks.errors import CheckError
from checks.retention import apply, plan
from jobs.nomad import to_api
from jobs.retention import apply_job, plan_job

JOB = "docker-registry-retention"
SUMMARY = {"at": 1.5, "plan": "f00d", "tags": 1, "manifests": 1, "bytes": 5}
REPOSITORY = {"repository": "ci/app", "tags": []}
LOG = f"{json.dumps(REPOSITORY)}\n{json.dumps({'summary': SUMMARY})}\n"


def ok(body):
    return {"status": 200, "body": body}


@pytest.fixture
def settings(ready):
    rules = [{"repositories": ["ci/*"], "keepNewest": 1}]
    return ready(sections={"maintenance": {"retention": {"rules": rules}}})


@pytest.fixture
def nomad(servers, settings):
    """A Nomad that has the jobs and runs them; `asked` is what each run was dispatched with."""

    def make(**changes):
        answers = {}
        for job, made in ((JOB, plan_job), (f"{JOB}-apply", apply_job)):
            answers[f"/v1/job/{job}"] = ok(to_api(made(settings, volume_source="registry_data")))

            def dispatch(request):
                asked.append(json.loads(request.content)["Meta"])
                return ok({"DispatchedJobID": "child", "EvalID": "e1"})

            answers[f"/v1/job/{job}/dispatch"] = dispatch
        state = {"Failed": False, "Events": []}
        allocation = {"ID": "a1", "ClientStatus": "complete", "TaskStates": {"retention": state}}
        answers["/v1/job/child/allocations"] = ok([allocation])
        answers["/v1/allocation/a1"] = ok(allocation)
        answers["/v1/client/fs/logs/a1?type=stdout"] = ok(LOG)
        return servers(settings, answers | changes).nomad, asked

    asked = []
    return make


def test_a_run_is_its_lines_and_its_summary(nomad, settings):
    server, asked = nomad()

    found = plan(server, settings)
    assert (found.repositories, found.summary) == ([REPOSITORY], SUMMARY)
    assert asked == [{}]


def test_what_was_shown_is_what_the_job_is_told_to_remove(nomad, settings):
    server, asked = nomad()

    apply(server, settings, plan(server, settings).summary)
    assert asked[1] == {"at": "1.5", "plan": "f00d"}


def test_a_log_that_ends_too_early_is_no_plan(nomad, settings):
    for log in ("", f"{json.dumps(REPOSITORY)}\n", LOG[:-9]):
        server, _ = nomad(**{"/v1/client/fs/logs/a1?type=stdout": ok(log)})
        with pytest.raises(CheckError, match="the log of job child ends too early"):
            plan(server, settings)


def test_rules_that_are_not_deployed_yet_are_not_shown_by_those_that_are(nomad, ready):
    server, asked = nomad()
    rules = [{"repositories": ["ci/*"], "keepNewest": 2}]

    with pytest.raises(CheckError, match=r"retention\.rules of stack dev are not deployed yet: `pulumi up`"):
        plan(server, ready(sections={"maintenance": {"retention": {"rules": rules}}}))
    assert asked == []


def test_a_stack_without_rules_is_told_to_write_some(nomad, ready):
    with pytest.raises(CheckError, match=r"docker-registry:maintenance\.retention is not set"):
        plan(nomad()[0], ready())


def test_a_job_that_is_not_there_is_made_by_up(nomad, settings):
    server, _ = nomad(**{f"/v1/job/{JOB}": {"status": 404, "body": "job not found"}})

    with pytest.raises(CheckError, match=rf"has no job {JOB}: `pulumi up` makes it"):
        plan(server, settings)
