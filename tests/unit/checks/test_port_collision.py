import httpx
import pytest

from checks.errors import CheckError
from checks.placement import require_place
from checks.servers import Servers
from checks.taken_ports import port_problems

COLLISION = {"DimensionExhausted": {"network: port collision": 1}}
RESERVED = {"DimensionExhausted": {"network: reserved port collision registry=5000": 1}}
NOTHING_SAID = dict.fromkeys(
    ("ConstraintFiltered", "ClassFiltered", "ClassExhausted", "QuotaExhausted", "DimensionExhausted")
)
NODE = {
    "ID": "n1",
    "Name": "nas",
    "Status": "ready",
    "Datacenter": "dc1",
    "SchedulingEligibility": "eligible",
    "Drivers": {"docker": {"Healthy": True}},
    "HostVolumes": {},
}
JOB = {"ID": "docker-registry", "Namespace": "default", "TaskGroups": [{"Name": "registry"}]}


def allocation(client, desired="stop"):
    return {
        "NodeID": "n1",
        "JobID": "docker-registry",
        "Namespace": "default",
        "TaskGroup": "registry",
        "DesiredStatus": desired,
        "ClientStatus": client,
    }


@pytest.fixture
def nomad(read_settings, monkeypatch):
    """A Nomad whose plans and allocations change from one question to the next; the last answers stay."""
    monkeypatch.setattr("checks.port_collision._PAUSE", 0)
    settings, plans = read_settings(), []

    def make(*, reasons, allocations):
        reasons, allocations = list(reasons), list(allocations)

        def next_of(answers):
            return answers.pop(0) if len(answers) > 1 else answers[0]

        def answer(request):
            if request.url.path == "/v1/nodes":
                return httpx.Response(200, json=[NODE])
            if request.url.path == "/v1/allocations":
                return httpx.Response(200, json=next_of(allocations))
            plans.append(request.url.path)
            metrics = next_of(reasons)
            failed = {"registry": {"NodesEvaluated": 1, **NOTHING_SAID, **metrics}} if metrics else None
            return httpx.Response(200, json={"Diff": {"Type": "None"}, "FailedTGAllocs": failed})

        return Servers(settings.providers, httpx.MockTransport(answer)).nomad, settings, plans

    return make


@pytest.mark.parametrize("reason", [COLLISION, RESERVED])
@pytest.mark.parametrize("state", ["running", "pending"])
def test_a_port_of_an_allocation_that_is_about_to_end_is_waited_for(nomad, reason, state):
    server, settings, plans = nomad(reasons=[reason, reason, None], allocations=[[allocation(state)]])

    require_place(server, settings, JOB, None, "registry")

    assert len(plans) == 3


def test_one_that_ended_between_the_plan_and_the_look_is_planned_once_more(nomad):
    server, settings, plans = nomad(reasons=[COLLISION, None], allocations=[[allocation("complete")]])

    require_place(server, settings, JOB, None, "registry")

    assert len(plans) == 2


def test_a_port_that_stays_taken_is_told(nomad):
    going, gone = [allocation("running")], [allocation("complete"), allocation("running", "run")]
    server, settings, plans = nomad(reasons=[RESERVED], allocations=[going, gone])

    with pytest.raises(CheckError, match="1 node exhausted: network: reserved port collision registry=5000"):
        require_place(server, settings, JOB, None, "registry")
    assert len(plans) == 3


def test_one_that_never_ends_is_not_waited_for_for_ever(nomad, monkeypatch):
    monkeypatch.setattr("checks.port_collision.PATIENCE", 0)
    server, settings, plans = nomad(reasons=[COLLISION], allocations=[[allocation("running")]])

    with pytest.raises(CheckError, match="network: port collision"):
        require_place(server, settings, JOB, None, "registry")
    assert len(plans) == 1


def test_other_reasons_are_told_at_once(nomad):
    memory = {"DimensionExhausted": {"memory": 1}}
    server, settings, plans = nomad(reasons=[memory], allocations=[[allocation("running")]])

    with pytest.raises(CheckError, match="exhausted: memory"):
        require_place(server, settings, JOB, None, "registry")
    assert len(plans) == 1


def test_the_preflight_waits_too(nomad):
    server, settings, _ = nomad(reasons=[RESERVED, None], allocations=[[allocation("running")]])

    assert list(port_problems(server, settings, None)) == []
