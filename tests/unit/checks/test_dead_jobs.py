import copy

import pytest

from checks.dead_jobs import as_started, dead_jobs, given_up, require_alive, started_anew
from checks.errors import CheckError

JOB = "/v1/job/docker-registry"
MIRRORS = "docker-registry-mirrors"
DEPLOYMENT = "defb6bdb-4652-8571-a68d-7d39fae3fa4d"
PULL = "Driver Failure: Failed to pull `registry:3`: no such host"


def job(*groups, name=MIRRORS, kind="service", status="running", **more):
    return {
        "ID": name,
        "Namespace": "default",
        "Type": kind,
        "Status": status,
        "Stop": False,
        "Periodic": None,
        "ParameterizedJob": None,
        "Version": 1,
        "TaskGroups": [{"Name": group, "Count": 1, "Meta": None} for group in groups],
        **more,
    }


def allocation(group, client="running", desired="run", node="n1", index=7):
    events = [
        {"Type": "Driver Failure", "DisplayMessage": PULL.partition(": ")[2], "Details": {}},
        {"Type": "Not Restarting", "DisplayMessage": "Exceeded allowed attempts", "Details": {}},
    ]
    return {
        "ID": f"{group}-{index}",
        "TaskGroup": group,
        "NodeID": node,
        "ClientStatus": client,
        "DesiredStatus": desired,
        "CreateIndex": index,
        "TaskStates": {"registry": {"Failed": client == "failed", "Events": events}},
    }


def ok(body):
    return {"status": 200, "body": body}


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr("checks.dead_jobs._PATIENCE", 0)


@pytest.fixture
def nomad(servers, ready):
    """A Nomad with one job, its allocations and its latest deployment."""

    def make(found, allocations=(), deployment="failed", version=1):
        path = f"/v1/job/{found['ID']}"
        latest = {"ID": DEPLOYMENT, "Status": deployment, "JobVersion": version} if deployment else None
        answers = {
            path: ok(found),
            f"{path}/allocations": ok(list(allocations)),
            f"{path}/deployment": ok(latest or "null"),
        }
        return servers(ready(), answers).nomad

    return make


def marks(made):
    return {group["Name"]: (group.get("Meta") or {}).get("started_after") for group in made["TaskGroups"]}


def wanted(*groups):
    return {"ID": MIRRORS, "Namespace": "default", "TaskGroups": [{"Name": group} for group in groups]}


def test_a_group_that_failed_in_the_last_deployment_is_started_anew_and_no_other(nomad):
    there = [allocation("hub"), allocation("quay", "failed")]
    server = nomad(job("hub", "quay"), there)

    assert marks(started_anew(server, wanted("hub", "quay"))) == {"hub": None, "quay": DEPLOYMENT}


def test_one_that_waits_for_its_image_in_a_failed_deployment_is_started_anew(nomad):
    server = nomad(job("hub"), [allocation("hub", "pending")])

    assert marks(started_anew(server, wanted("hub"))) == {"hub": DEPLOYMENT}


@pytest.mark.parametrize(
    ("found", "allocations", "deployment", "version"),
    [
        (job("hub"), [allocation("hub", "failed")], "successful", 1),
        (job("hub"), [allocation("hub", "failed")], None, 1),
        (job("hub"), [allocation("hub", "failed")], "failed", 0),
        (job("hub"), [allocation("hub", "failed")], "running", 1),
        (job("hub"), [allocation("hub", "failed"), allocation("hub")], "failed", 1),
        (job("hub", Stop=True, status="dead"), [], "failed", 1),
        (job("hub", kind="batch", Periodic={}), [], "failed", 1),
        (job("hub", kind="batch", ParameterizedJob={}), [], "failed", 1),
    ],
    ids=[
        "it was healthy once, so Nomad goes on",
        "no deployment",
        "the deployment is of an older version",
        "it is being deployed",
        "it runs all the same",
        "stopped",
        "periodic",
        "parameterized",
    ],
)
def test_what_nomad_starts_by_itself_or_at_a_deploy_is_left_alone(
    nomad, found, allocations, deployment, version
):
    assert given_up(nomad(found, allocations, deployment, version), found) == {}


def test_a_mark_stays_or_the_group_would_start_again(nomad):
    found = job("hub", "quay")
    found["TaskGroups"][1]["Meta"] = {"started_after": "an older one"}
    server = nomad(found, [allocation("hub"), allocation("quay")], "successful")

    for made in (started_anew(server, wanted("hub", "quay")), as_started(server, wanted("hub", "quay"))):
        assert marks(made) == {"hub": None, "quay": "an older one"}


def test_a_group_that_fails_once_more_gets_another_mark(nomad):
    found = job("hub")
    found["TaskGroups"][0]["Meta"] = {"started_after": "an older one"}

    made = started_anew(nomad(found, [allocation("hub", "failed")]), wanted("hub"))

    assert marks(made) == {"hub": DEPLOYMENT}


def test_a_job_that_nomad_does_not_have_is_as_the_settings_say(servers, ready):
    assert started_anew(servers(ready(), {}).nomad, wanted("hub")) == wanted("hub")


def test_a_system_job_is_started_anew_where_its_allocation_failed(nomad):
    found = job("pull", name="docker-registry-pull", kind="system")
    healed = [allocation("pull", "failed", node="n2", index=3), allocation("pull", node="n2", index=9)]
    failed = allocation("pull", "failed", node="n1", index=5)

    assert given_up(nomad(found, [failed, *healed], None), found) == {"pull": "pull-5"}
    assert given_up(nomad(found, healed, None), found) == {}


def test_a_job_that_nomad_has_given_up_is_dead_with_its_last_words(nomad, ready):
    found = job("registry", name="docker-registry", status="dead")
    server = nomad(found, [allocation("registry", "failed")])

    assert list(map(str, dead_jobs(server, ready()))) == [f"job docker-registry is dead: {PULL}"]
    with pytest.raises(CheckError) as caught:
        require_alive(server, "docker-registry", ready())
    assert f"took job docker-registry, and it is dead: {PULL}" in str(caught.value)
    assert "`pulumi up` starts it anew" in str(caught.value)


def test_of_several_groups_the_dead_ones_are_named(nomad, ready):
    server = nomad(job("hub", "quay"), [allocation("hub"), allocation("quay", "failed")])

    assert list(map(str, dead_jobs(server, ready()))) == [f"job {MIRRORS} is dead (quay): {PULL}"]


@pytest.mark.parametrize("kind", ["Periodic", "ParameterizedJob"])
def test_a_maintenance_job_that_somebody_stopped_is_dead(nomad, ready, kind):
    stopped = job("gc", name="docker-registry-gc", kind="batch", status="dead", Stop=True, **{kind: {}})

    assert list(map(str, dead_jobs(nomad(stopped), ready()))) == ["job docker-registry-gc was stopped"]


def test_a_job_that_runs_or_waits_for_its_time_is_not_dead(nomad, ready):
    periodic = job("gc", name="docker-registry-gc", kind="batch", Periodic={})
    running = nomad(job("hub"), [allocation("hub")], "successful")

    assert dead_jobs(nomad(periodic), ready()) == []
    assert dead_jobs(running, ready()) == []
    require_alive(running, MIRRORS, ready())


def test_a_job_whose_allocations_all_ended_is_dead(nomad, ready):
    found = job("hub", status="dead")

    [dead] = dead_jobs(nomad(found, [allocation("hub", "failed")], None), ready())

    assert dead.what.startswith("is dead: nothing of it runs")


def test_the_job_that_is_marked_is_not_changed_itself(nomad):
    asked = wanted("hub")
    before = copy.deepcopy(asked)

    started_anew(nomad(job("hub"), [allocation("hub", "failed")]), asked)

    assert asked == before


def test_a_system_job_that_is_deployed_anew_gets_time_to_start(servers, ready, monkeypatch):
    monkeypatch.setattr("checks.dead_jobs._PATIENCE", 60)
    monkeypatch.setattr("checks.dead_jobs._PAUSE", 0)
    pull = job("pull", name="docker-registry-pull", kind="system")
    failed, placed = allocation("pull", "failed"), allocation("pull", "pending", index=9)
    told = [[failed, placed], [failed], [failed]]
    answers = {
        "/v1/job/docker-registry-pull": ok(pull),
        "/v1/job/docker-registry-pull/allocations": lambda _: ok(told.pop() if len(told) > 1 else told[0]),
    }

    require_alive(servers(ready(), answers).nomad, "docker-registry-pull", ready())

    assert len(told) == 1


@pytest.mark.parametrize("result", ["Not Restarting", "Alloc Unhealthy"])
def test_what_nomad_made_of_it_is_not_the_reason_in_whatever_order_it_is_noted(nomad, ready, result):
    found, failed = job("hub", status="dead"), allocation("hub", "failed")
    pull, _ = failed["TaskStates"]["registry"]["Events"]
    made = {"Type": result, "DisplayMessage": "Unhealthy because of failed task", "Details": {}}

    for events in ([pull, made], [made, pull]):
        failed["TaskStates"]["registry"]["Events"] = events
        assert dead_jobs(nomad(found, [failed]), ready())[0].what == f"is dead: {PULL}"
