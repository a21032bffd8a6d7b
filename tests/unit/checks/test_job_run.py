import pytest

from checks.errors import CheckError
from checks.job_run import JobRun

CHILD = "docker-registry-restore/dispatch-1790000000-ab"
ALLOCATIONS, ALLOCATION = f"/v1/job/{CHILD}/allocations", "/v1/allocation/a1"
LOGS = "/v1/client/fs/logs/a1"


def ok(body):
    return {"status": 200, "body": body}


def allocation(status, **failed):
    states = {
        task: {"Failed": True, "Events": [{"DisplayMessage": event} for event in events]}
        for task, events in failed.items()
    }
    told = {"ClientDescription": f"it is {status}", "DesiredDescription": ""}
    return {"ID": "a1", "ClientStatus": status, **told, "TaskStates": {"thaw": {"Failed": False}, **states}}


@pytest.fixture
def answers():
    return {
        "/v1/job/docker-registry-backup/periodic/force": ok({"EvalID": "e1"}),
        "/v1/job/docker-registry-restore/dispatch": ok({"DispatchedJobID": CHILD, "EvalID": "e1"}),
        "/v1/evaluation/e1": ok({"JobID": CHILD}),
        ALLOCATIONS: ok([allocation("running")]),
        ALLOCATION: ok(allocation("complete")),
        f"{LOGS}?type=stdout": ok("10%\nrestored everything\n"),
    }


@pytest.fixture
def dispatched(servers, ready, answers, monkeypatch):
    monkeypatch.setattr("checks.job_run._POLL_SECONDS", 0)

    def run():
        nomad = servers(ready(), answers).nomad
        return JobRun.dispatched(nomad, "docker-registry-restore", "default", {"snapshot": "1a2b"})

    return run


def test_a_dispatched_run_gives_all_that_its_task_wrote(dispatched):
    assert dispatched().output("restore") == "10%\nrestored everything\n"


def test_a_periodic_job_is_run_before_it_is_due(servers, ready, answers):
    run = JobRun.forced(servers(ready(), answers).nomad, "docker-registry-backup", "default")

    assert run.job == CHILD
    assert run.output("backup").endswith("restored everything\n")


def test_what_a_task_writes_is_told_once_and_as_soon_as_a_line_is_whole(dispatched, answers):
    texts = iter(["10%\nrest", "10%\nrestored everything\n"])
    states = iter(["running", "complete"])
    answers[f"{LOGS}?type=stdout"] = lambda request: ok(next(texts, "10%\nrestored everything\n"))
    answers[ALLOCATION] = lambda request: ok(allocation(next(states)))
    said = []

    dispatched().output("restore", said=said.append)
    assert said == ["10%", "restored everything"]


def test_a_failed_task_is_told_in_its_own_words(dispatched, answers):
    answers[ALLOCATION] = ok(allocation("failed", restore=["Exit Code: 1"]))
    answers[f"{LOGS}?type=stderr"] = ok("snapshot 1a2b is damaged\n")

    with pytest.raises(CheckError) as caught:
        dispatched().output("restore")
    assert str(caught.value) == (
        f"Nomad at http://127.0.0.1:4646: job {CHILD}: task restore failed:\n  snapshot 1a2b is damaged"
    )


def test_a_task_that_never_started_is_told_in_nomads_words(dispatched, answers):
    answers[ALLOCATION] = ok(allocation("failed", restic=["Failed to pull restic/restic"]))

    with pytest.raises(CheckError, match="task restic failed:\n  Failed to pull restic/restic"):
        dispatched().output("restore")


def test_an_allocation_that_is_lost_with_its_machine_is_told_without_a_task(dispatched, answers):
    answers[ALLOCATION] = ok(allocation("lost"))

    with pytest.raises(CheckError) as caught:
        dispatched().output("restore")
    assert str(caught.value) == (
        f"Nomad at http://127.0.0.1:4646: job {CHILD}: its allocation is lost (it is lost); "
        f"`nomad job status -address=http://127.0.0.1:4646 -namespace=default {CHILD}` says why"
    )


def test_a_run_without_a_place_does_not_wait_for_one(dispatched, answers):
    answers[ALLOCATIONS] = ok([])
    answers["/v1/evaluation/e1"] = ok({"JobID": CHILD, "FailedTGAllocs": {"restore": {}}})

    with pytest.raises(CheckError, match="Nomad found no place for it; `nomad job status -address="):
        dispatched().output("restore")


def test_a_run_waits_while_two_other_allocations_have_the_same_port(dispatched, answers):
    placed = iter([[], [], [allocation("complete")]])
    answers[ALLOCATIONS] = lambda _: ok(next(placed))
    reasons = {"DimensionExhausted": {"network: port collision": 1}}
    answers["/v1/evaluation/e1"] = ok({"JobID": CHILD, "FailedTGAllocs": {"restore": reasons}})

    assert dispatched().output("restore").endswith("restored everything\n")


def test_a_run_does_not_wait_for_a_port_for_ever(dispatched, answers, monkeypatch):
    monkeypatch.setattr("checks.job_run.PATIENCE", 0)
    answers[ALLOCATIONS] = ok([])
    reasons = {"DimensionExhausted": {"network: port collision": 1}}
    answers["/v1/evaluation/e1"] = ok({"JobID": CHILD, "FailedTGAllocs": {"restore": reasons}})

    with pytest.raises(CheckError, match="Nomad found no place for it"):
        dispatched().output("restore")


def test_a_job_that_is_not_deployed_is_an_error_that_says_how(dispatched, answers):
    answers["/v1/job/docker-registry-restore/dispatch"] = {
        "status": 500,
        "body": "parameterized job not found",
    }

    with pytest.raises(CheckError, match="has no job docker-registry-restore: `pulumi up` makes it"):
        dispatched()


@pytest.fixture
def without_right(answers):
    """Take the right to read logs away."""
    for kind in ("stdout", "stderr"):
        answers[f"{LOGS}?type={kind}"] = {"status": 403, "body": "Permission denied"}


def test_a_token_that_may_not_read_logs_can_wait_for_a_run_all_the_same(dispatched, without_right):
    assert dispatched().output("restore") == ""


def test_an_answer_that_the_token_may_not_read_is_an_error_that_names_the_right(dispatched, without_right):
    with pytest.raises(CheckError, match='in nomad:secretId needs `read-logs` in namespace "default"'):
        dispatched().answer("restore")


def test_a_failure_that_the_token_may_not_read_is_told_in_nomads_words(dispatched, answers, without_right):
    answers[ALLOCATION] = ok(allocation("failed", restore=["Exit Code: 1"]))

    with pytest.raises(CheckError, match="task restore failed:\n  Exit Code: 1"):
        dispatched().output("restore")


@pytest.mark.parametrize("started", [True, False])
def test_a_run_that_does_not_end_names_the_command_that_tells_more(dispatched, answers, started):
    answers[ALLOCATION] = ok(allocation("running"))
    answers[ALLOCATIONS] = ok([allocation("running")] if started else [])

    with pytest.raises(CheckError) as caught:
        dispatched().output("restore", patience=0)
    assert str(caught.value) == (
        f"Nomad at http://127.0.0.1:4646: job {CHILD}: it did not end in time; "
        f"`nomad job status -address=http://127.0.0.1:4646 -namespace=default {CHILD}` says why"
    )
