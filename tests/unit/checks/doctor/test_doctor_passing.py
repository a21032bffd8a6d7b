"""What passes by itself is no failure: each check here fails once, as it was seen to on a busy machine."""

import copy

import httpx
import pytest

from checks.doctor.examination import examine
from checks.doctor.facts import Facts
from checks.doctor.finding import failure, ok
from checks.doctor.job import allocation_runs
from checks.doctor.maintenance import takes_pushes
from checks.doctor.mirrors import mirrors_serve
from checks.doctor.monitoring import exporter_answers
from checks.doctor.network import traefik_routes
from checks.doctor.servers import nomad_ready
from checks.doctor.service import registry_answers, service_healthy, service_registered

SERVICE = "/v1/health/service/registry"
ALLOCATIONS = "/v1/job/docker-registry/allocations"


@pytest.fixture
def passing(look, looks):
    """What a check finds when one question gets another answer the first time."""

    def run(check, question, first, then, answers=None, **settings):
        looks(0)
        told = [first]

        def answer(_):
            found = told.pop() if told else then
            if isinstance(found, Exception):
                raise found
            return found

        found = look(check, {**(answers or {}), question: answer}, **settings)
        assert not told, "it was not asked"
        return found.state

    return run


def with_state(answer, state):
    changed = copy.deepcopy(answer)
    for instance in changed["body"]:
        for check in instance["Checks"]:
            check["Status"] = state
    return changed


def test_consuls_check_that_came_too_late_once(passing, well):
    critical = with_state(well[SERVICE], "critical")

    assert passing(service_healthy, SERVICE, critical, well[SERVICE]) == "ok"


def test_a_service_that_nomad_registers_again(passing, well):
    nobody = {"status": 200, "body": []}
    clients = {"/v1/catalog/service/nomad-client": nobody, "nomad /v1/nodes": nobody}

    assert passing(service_registered, SERVICE, nobody, well[SERVICE], clients) == "ok"


def test_a_registry_that_restarts(passing, well):
    closed = copy.deepcopy(well[SERVICE])
    for instance in closed["body"]:
        instance["Service"]["Port"] = 1
    restarts = copy.deepcopy(well[ALLOCATIONS])
    for allocation in restarts["body"]:
        allocation["ClientStatus"] = "pending"

    assert passing(registry_answers, SERVICE, closed, well[SERVICE]) == "ok"
    assert passing(allocation_runs, ALLOCATIONS, restarts, well[ALLOCATIONS]) == "ok"


def test_a_thaw_that_the_registry_has_not_read_yet(passing, well, web_server):
    frozen = copy.deepcopy(well[SERVICE])
    port = web_server(body="", headers={"X-Registry-Mode": "read-only"}).port
    for instance in frozen["body"]:
        instance["Service"]["Port"] = port

    assert passing(takes_pushes, SERVICE, frozen, well[SERVICE]) == "ok"


def test_a_server_that_took_too_long_for_one_answer(passing, good):
    slow, leader = httpx.ReadTimeout("timed out"), "nomad /v1/status/leader"

    assert passing(nomad_ready, leader, slow, good[leader]) == "ok"


def test_mirrors_and_an_exporter_whose_check_came_too_late_once(passing, web_server):
    def service(state, port):
        checks = [{"Status": state, "Name": "c", "Output": ""}]
        return {
            "status": 200,
            "body": [{"Service": {"Address": "127.0.0.1", "Port": port}, "Checks": checks}],
        }

    port = web_server(body="").port
    mirror = {"name": "hub", "upstream": "https://registry-1.docker.io", "port": 5010, "auth": "none"}
    for check, name, section in (
        (mirrors_serve, "registry-mirror-hub", {"mirrors": [mirror]}),
        (exporter_answers, "registry-exporter", {"monitoring": {}}),
    ):
        question = f"/v1/health/service/{name}"
        state = passing(
            check, question, service("critical", port), service("passing", port), sections=section
        )
        assert state == "ok", name


def test_traefik_that_has_not_heard_yet_that_the_service_is_well(look, looks, monkeypatch):
    looks(0)
    answers = [httpx.Response(401, headers={"X-Registry-Mode": "read-write"}), httpx.Response(404)]
    monkeypatch.setattr("checks.doctor.network.httpx.get", lambda *_, **__: answers.pop())

    assert look(traefik_routes).state == "ok"
    assert not answers


@pytest.fixture
def examined(looks, servers, ready, well):
    """What is found by a check that fails so many times, and how often it was looked at."""

    def run(failures, pauses=(0, 0)):
        looks(*pauses)
        seen = []

        def check(facts):
            seen.append(facts)
            return failure("gone", "mend it") if len(seen) <= failures else ok("there")

        settings = ready()
        facts = Facts(settings=settings, servers=servers(settings, well), env={})
        [found] = examine(facts, [check])
        assert len(set(map(id, seen))) == len(seen), "each look asks anew"
        return found.finding.state, len(seen)

    return run


@pytest.mark.parametrize(
    ("failures", "expected"), [(0, ("ok", 1)), (1, ("ok", 2)), (2, ("ok", 3)), (9, ("failure", 3))]
)
def test_a_failure_is_one_if_it_is_there_each_time(examined, failures, expected):
    assert examined(failures) == expected
