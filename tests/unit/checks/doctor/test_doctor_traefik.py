import copy
import json

import pytest

from checks.doctor.traefik import traefik_knows, traefik_read_timeout, traefik_version

ALLOWED = {"access": {"allowedCidrs": ["192.168.1.0/24"]}}


@pytest.fixture
def traefik(look, web_server):
    """What a check finds if Traefik's API gives this answer."""

    def run(check, body, code=200, answers=None, **sections):
        api = web_server(body=json.dumps(body), code=code).address
        return look(check, answers, traefik_api=api, sections=sections)

    return run


@pytest.mark.parametrize(
    ("version", "sections", "state"),
    [
        ("3.7.15", ALLOWED, "ok"),
        ("2.11.0", ALLOWED, "ok"),
        ("2.10.7", ALLOWED, "failure"),
        ("2.10.7", {}, "ok"),
        ("dev", ALLOWED, "ok"),
    ],
)
def test_a_traefik_without_the_middleware_of_the_settings_is_a_failure(traefik, version, sections, state):
    assert traefik(traefik_version, {"Version": version}, **sections).state == state


def entry_point(**timeouts):
    return {"name": "websecure", "transport": {"respondingTimeouts": {"idleTimeout": "3m0s", **timeouts}}}


def test_an_entry_point_that_ends_every_request_is_a_failure(traefik):
    found = traefik(traefik_read_timeout, entry_point(readTimeout="1m0s"))

    assert found.what == "entry point websecure ends every request after 1m0s"
    assert found.fix.startswith("entryPoints.websecure.transport.respondingTimeouts.readTimeout: 0")


def test_an_entry_point_without_a_limit_is_ok(traefik):
    assert traefik(traefik_read_timeout, entry_point()).state == "ok"


@pytest.fixture
def logged(well):
    """Answers in which the registry's log ends with this line."""

    def make(line):
        answers = copy.deepcopy(well)
        [running] = [
            each
            for each in answers["/v1/job/docker-registry/allocations"]["body"]
            if each["ClientStatus"] == "running"
        ]
        return {f"/v1/client/fs/logs/{running['ID']}?type=stderr": {"status": 200, "body": f"{line}\n"}}

    return make


def test_without_the_api_a_push_that_was_cut_off_is_known_by_the_log(look, logged):
    cut = logged('{"msg":"client disconnected during blob PATCH"}')

    found = look(traefik_read_timeout, cut, traefik_api="http://127.0.0.1:1")

    assert found.state == "warning"
    assert (
        look(traefik_read_timeout, logged("fine"), traefik_api="http://127.0.0.1:1").state == "not looked at"
    )


def test_a_router_that_traefik_has_is_ok(traefik):
    assert traefik(traefik_knows, {"name": "registry@consulcatalog", "status": "enabled"}).state == "ok"


def test_a_router_that_traefik_refuses_is_told_with_its_words(traefik):
    error = 'entryPoint "websecure" doesn\'t exist'

    found = traefik(traefik_knows, {"name": "registry@consulcatalog", "error": [error]})

    assert found.state == "failure"
    assert error in found.what
    assert found.fix.startswith("pulumi config set --path docker-registry:tls.entryPoint NAME --stack dev")


def test_a_router_that_traefik_does_not_have_is_a_failure(traefik):
    found = traefik(traefik_knows, {}, code=404)

    assert (found.state, found.what) == ("failure", "Traefik has no router for registry")


def test_an_api_that_does_not_answer_is_not_looked_at(look):
    found = look(traefik_version, traefik_api="http://127.0.0.1:1")

    assert found.what == "Traefik's API does not answer at http://127.0.0.1:1: give --traefik-api"
