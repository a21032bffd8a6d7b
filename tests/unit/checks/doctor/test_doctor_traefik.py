import copy
import json

import pytest

from checks.doctor.finding import ok
from checks.doctor.traefik import body_limits, traefik_knows, traefik_read_timeout, traefik_version
from checks.errors import CheckError

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


@pytest.fixture
def asked(monkeypatch):
    """Answer what Traefik's API is asked, by its paths; what is missing is a 404."""

    def answer(answers):
        def ask(_, path):
            if path.partition("?")[0] in answers:
                return answers[path.partition("?")[0]]
            raise CheckError(f"Traefik's API answers 404 for {path}")

        monkeypatch.setattr("checks.doctor.traefik._asked", ask)

    return answer


OWN = "Tag(`traefik.http.routers.registry.entrypoints=websecure`)"


def test_a_traefik_that_routes_other_services_of_consul_leaves_this_one_out_by_its_constraints(look, asked):
    asked({"/api/http/routers": [{"provider": "consulcatalog"}], "/api/tcp/routers": []})

    [_, fix] = look(traefik_knows).fix.splitlines()

    assert fix.startswith(f'providers.consulCatalog.constraints: "(THOSE) || {OWN}"   # in Traefik')


@pytest.mark.parametrize("routers", [[], [{"provider": "internal"}, {"provider": "docker"}]])
def test_a_traefik_that_routes_none_may_lack_the_provider_too(look, asked, routers):
    asked({"/api/http/routers": routers, "/api/tcp/routers": []})

    [_, address, constraints] = look(traefik_knows).fix.splitlines()

    assert address.startswith("providers.consulCatalog.endpoint.address: 127.0.0.1:8500   #")
    assert constraints.startswith("providers.consulCatalog.constraints: ")


def test_the_middlewares_that_limit_requests_are_named(look, asked):
    asked(
        {
            "/api/http/routers/registry@consulcatalog": {
                "middlewares": ["small@file", "registry@consulcatalog"]
            },
            "/api/http/middlewares/small@file": {"buffering": {"maxRequestBodyBytes": 1000}},
            "/api/http/middlewares/registry@consulcatalog": {"ipAllowList": {}},
        }
    )

    def limits(facts):
        """Limits.

        Symptom: -

        Cause: -

        Fix: -
        """
        return ok("; ".join(body_limits(facts)))

    assert look(limits).what == "small@file (1000 bytes)"


def test_an_api_that_does_not_answer_is_not_looked_at(look):
    found = look(traefik_version, traefik_api="http://127.0.0.1:1")

    assert found.what == "Traefik's API does not answer at http://127.0.0.1:1: give --traefik-api"
