import pytest

from jobs.tasks.last_run import outcome, record, record_outcome
from jobs.tasks.nomad_api import NomadError

VARIABLE = "/v1/var/nomad/jobs/docker-registry-gc"
ENVIRONMENT = {"NOMAD_ALLOC_ID": "a1", "NOMAD_JOB_ID": "docker-registry-gc/periodic-1795534207"}
TASKS = [
    {"Name": "freeze", "Lifecycle": {"Hook": "prestart"}},
    {"Name": "collect", "Lifecycle": None},
    {"Name": "thaw", "Lifecycle": {"Hook": "poststop"}},
]
GOOD, BAD, RUNNING = (
    {"State": "dead", "Failed": False},
    {"State": "dead", "Failed": True},
    {"State": "running", "Failed": False},
)


def allocation(**states):
    groups = [{"Name": "gc", "Tasks": TASKS}]
    return {"TaskGroup": "gc", "Job": {"TaskGroups": groups}, "TaskStates": states or None}


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"freeze": GOOD, "collect": GOOD, "thaw": RUNNING}, True),
        ({"freeze": GOOD, "collect": BAD, "thaw": RUNNING}, False),
        ({"freeze": BAD, "collect": GOOD}, False),
        ({"freeze": GOOD, "collect": RUNNING, "thaw": RUNNING}, None),  # Nomad's servers do not know yet
        ({"freeze": GOOD}, None),
        ({}, None),
    ],
)
def test_a_run_is_good_once_nomad_says_that_all_before_the_last_task_ended_well(states, said):
    assert outcome(allocation(**states)) is said


def test_a_success_is_recorded_in_the_variable_of_the_job_itself(nomad, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.7)

    record(nomad, ENVIRONMENT, succeeded=True)

    assert nomad.get(VARIABLE)["Items"] == {"succeeded": "1000"}


def test_a_failure_leaves_when_it_last_went_well_and_what_else_is_there(nomad, monkeypatch):
    nomad.set(VARIABLE, {"succeeded": "1000", "consul_token": "secret"})
    monkeypatch.setattr("time.time", lambda: 2000)

    record(nomad, ENVIRONMENT, succeeded=False)

    assert nomad.get(VARIABLE)["Items"] == {"succeeded": "1000", "failed": "2000", "consul_token": "secret"}


def test_a_change_of_the_variable_meanwhile_is_kept(nomad):
    nomad.before_write.append(lambda: nomad.set(VARIABLE, {"note": "new"}))

    record(nomad, ENVIRONMENT, succeeded=True)

    assert set(nomad.get(VARIABLE)["Items"]) == {"note", "succeeded"}


def test_the_outcome_is_waited_for(nomad, clock):
    nomad.allocations["a1"] = allocation(freeze=GOOD, collect=RUNNING)
    clock.at.append((2, lambda: nomad.allocations.update(a1=allocation(freeze=GOOD, collect=GOOD))))

    record_outcome(nomad, ENVIRONMENT)

    assert set(nomad.get(VARIABLE)["Items"]) == {"succeeded"}
    assert clock.now < 3


def test_an_outcome_that_nomad_does_not_tell_is_not_recorded(nomad, clock):
    nomad.allocations["a1"] = allocation(freeze=GOOD, collect=RUNNING)

    record_outcome(nomad, ENVIRONMENT)

    assert nomad.get(VARIABLE) is None


def test_a_nomad_that_takes_no_record_is_said_and_fails_nothing(nomad, monkeypatch, capsys):
    def refuse(*_, **__):
        raise NomadError("Nomad: PUT /v1/var/x answered 403: Permission denied", 403)

    monkeypatch.setattr(nomad, "put", refuse)

    record(nomad, ENVIRONMENT, succeeded=True)

    assert capsys.readouterr().err.startswith("cannot record how the run went: Nomad: PUT")
