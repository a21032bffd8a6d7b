import pytest

from checks import collection
from checks.errors import CheckError

CHILD = "docker-registry-gc/periodic-1790000000"
DISPATCHED = "docker-registry-gc-dry-run/dispatch-1790000000-0f"


def ok(body):
    return {"status": 200, "body": body}


def task(started, failed=False, end="Exit Code: 0"):
    events = [{"Type": "Terminated", "DisplayMessage": end}, {"Type": "Killing", "DisplayMessage": "x"}]
    return {"StartedAt": started, "Failed": failed, "Events": events}


def allocation(name, status, index, **tasks):
    return {"ID": name, "ClientStatus": status, "CreateIndex": index, "TaskStates": tasks}


def log(**texts):
    """A log endpoint: texts by task, of which only what comes after the offset is sent."""

    def answer(request):
        text = texts.get(request.url.params["task"]) if request.url.params["type"] == "stdout" else ""
        if text is None:
            return {"status": 404, "body": "not started"}
        return ok(text[int(request.url.params["offset"]) :])

    return {"stdout": answer, "stderr": answer}


@pytest.fixture
def run(servers, ready, monkeypatch):
    """Run the collection against answers of Nomad; gives what was said."""
    monkeypatch.setattr("time.sleep", lambda _: None)

    def make(allocations, logs, *, dry_run=False, statuses=("dead",), **answers):
        statuses, child = [*statuses], DISPATCHED if dry_run else CHILD
        said = []
        given = {
            "/v1/job/docker-registry-gc/periodic/force": ok({"EvalID": "e1"}),
            "/v1/job/docker-registry-gc-dry-run/dispatch": ok({"EvalID": "e1", "DispatchedJobID": child}),
            "/v1/evaluation/e1": ok({"JobID": child}),
            f"/v1/job/{child}": lambda _: ok(
                {"Status": statuses.pop(0) if len(statuses) > 1 else statuses[0]}
            ),
            f"/v1/job/{child}/allocations": ok(allocations),
            **{
                f"/v1/client/fs/logs/{name}?type={kind}": answer
                for name, kinds in logs.items()
                for kind, answer in kinds.items()
            },
            **answers,
        }
        settings = ready(sections={"maintenance": {"garbageCollection": {}}})
        nomad = servers(settings, given).nomad
        failure = None
        try:
            collection.collect(nomad, settings, lambda *line: said.append(line), dry_run=dry_run)
        except CheckError as error:
            failure = str(error)
        return said, failure

    return make


def test_what_the_tasks_write_is_handed_over_line_by_line_in_their_order(run):
    tasks = {"thaw": task("3"), "freeze": task("1"), "collect": task("2")}
    logs = {"a1": log(freeze="took the freeze\nread-only\n", collect="blob x\n", thaw="freed 1 blob\n{}\n")}

    said, failure = run([allocation("a1", "complete", 1, **tasks)], logs, statuses=("running", "dead"))

    assert failure is None
    assert said == [
        ("freeze", "took the freeze"),
        ("freeze", "read-only"),
        ("collect", "blob x"),
        ("thaw", "freed 1 blob"),
        ("thaw", "{}"),
    ]


def test_a_dry_run_is_dispatched(run):
    logs = {"a1": log(collect="", predict="a run would free 1 blob\n")}

    said, failure = run(
        [allocation("a1", "complete", 1, collect=task("1"), predict=task("2"))], logs, dry_run=True
    )

    assert (said, failure) == ([("predict", "a run would free 1 blob")], None)


def test_a_run_that_failed_names_the_task_and_waits_for_the_thaw(run):
    failed = task("2", failed=True, end="OOM Killed")
    allocations = [
        allocation("a2", "failed", 9, freeze=task("4", failed=True)),
        allocation("a1", "failed", 1, freeze=task("1"), collect=failed, thaw=task("3", failed=True)),
    ]
    logs = {"a1": log(freeze="took the freeze\n"), "a2": log(freeze="writable again\n")}

    said, failure = run(allocations, logs)

    assert [line for _, line in said] == ["took the freeze", "writable again"]
    assert f"job {CHILD} failed in task collect (OOM Killed)" in failure
    assert "`python -m ops status`" in failure


def test_a_run_that_nomad_finds_no_place_for_is_told(run):
    place = {"/v1/evaluation/e1": ok({"JobID": CHILD, "FailedTGAllocs": {"gc": {}}})}

    _, failure = run([], {}, statuses=("pending",), **place)

    assert "Nomad found no place for it" in failure


def test_a_token_that_may_not_read_logs_still_learns_how_it_ended(run):
    said, failure = run([allocation("a1", "complete", 1, freeze=task("1"))], {})

    assert (said, failure) == ([], None)


def test_a_stack_without_collections_has_nothing_to_run(servers, ready):
    with pytest.raises(CheckError, match=r"maintenance\.garbageCollection is not set"):
        collection.collect(servers(ready(), {}).nomad, ready(), print, dry_run=False)
