import copy

import httpx
import pytest

from checks.doctor.service import (
    mesh_protocol,
    nomad_alone,
    registry_answers,
    service_healthy,
    service_registered,
    settings_sound,
)

SERVICE = "/v1/health/service/registry"
NODE = "/v1/node/n1"


@pytest.fixture
def changed(well):
    """The service's answer with its parts changed."""

    def make(state="passing", **service):
        answer = copy.deepcopy(well[SERVICE])
        answer["body"][0]["Service"].update(service)
        answer["body"][0]["Checks"][0].update(Status=state, Output="connection refused")
        return {SERVICE: answer}

    return make


def client(address, node="nas"):
    host, _, port = address.partition(":")
    return {"Node": node, "Address": host, "ServiceAddress": host, "ServicePort": int(port)}


def clients_of(*clients):
    """Answers of Nomad, which has a client at 10.0.0.5, and of Consul, which knows these."""
    return {
        "nomad /v1/nodes": {"status": 200, "body": [{"ID": "n1", "Name": "nas", "Status": "ready"}]},
        NODE: {"status": 200, "body": {"HTTPAddr": "10.0.0.5:4646"}},
        "/v1/catalog/service/nomad-client": {"status": 200, "body": list(clients)},
    }


def test_a_service_that_answers_is_ok(look):
    for check in (service_registered, service_healthy, registry_answers):
        assert look(check).state == "ok", check


def test_a_service_that_is_missing_though_the_job_runs_is_a_failure(look):
    gone = {SERVICE: {"status": 200, "body": []}}

    found = look(service_registered, {**gone, **clients_of(client("10.0.0.5:4646"))})

    assert found.state == "failure"
    assert found.fix == (
        "nomad alloc restart -address=http://127.0.0.1:4646 -namespace=default "
        "1c953df6-2cd8-3328-5b22-62abb585cc34"
    )
    assert look(service_healthy, gone).state == "not looked at"
    assert look(registry_answers, gone).state == "not looked at"


def test_a_service_of_a_nomad_that_does_not_know_this_consul_is_mended_by_its_configuration(look):
    gone = {SERVICE: {"status": 200, "body": []}}

    found = look(service_registered, {**gone, **clients_of()})

    assert found.fix.startswith('consul { address = "127.0.0.1:8500" }')


def test_a_service_is_not_missed_when_the_job_does_not_run(look, recorded):
    found = look(service_registered, {**recorded("image-pull"), SERVICE: {"status": 200, "body": []}})

    assert found.state == "not looked at"


def test_a_critical_check_is_told_with_its_output(look, changed):
    found = look(service_healthy, changed("critical"))

    assert (found.state, found.fix) == ("failure", "python -m ops why --stack dev")
    assert "is critical: connection refused" in found.what


def test_a_check_that_passes_again_meanwhile_does_not_make_a_failure_without_words(look, changed):
    states = iter(["critical", "passing"])

    found = look(service_healthy, {SERVICE: lambda request: changed(next(states))[SERVICE]})

    assert "is critical: connection refused" in found.what


def test_a_port_on_which_nothing_listens_is_a_failure(look, changed):
    found = look(registry_answers, changed(Port=1))

    assert found.state == "failure"
    assert found.what.startswith("http://127.0.0.1:1/ does not answer")
    assert found.fix.startswith("nomad alloc restart -address=http://127.0.0.1:4646 -namespace=default ")


def test_a_registry_whose_storage_fails_names_its_log(look, changed, web_server):
    found = look(registry_answers, changed(Port=web_server(body="", code=503).port))

    assert found.what.endswith("/ answers 503")
    assert found.fix.startswith("nomad alloc logs -stderr")


@pytest.mark.parametrize(
    ("clients", "state"),
    [
        ([client("10.0.0.5:4646")], "ok"),
        ([client("10.0.0.5:4646"), client("10.0.0.6:4646", node="other")], "ok"),
        ([client("10.0.0.5:4646"), client("10.0.0.5:5646")], "failure"),
        ([], "ok"),
    ],
    ids=["alone", "on another machine", "two at one agent", "none registered"],
)
def test_a_second_nomad_at_the_same_consul_agent_is_a_failure(look, clients, state):
    found = look(nomad_alone, clients_of(*clients))

    assert found.state == state
    if state == "failure":
        assert "10.0.0.5:5646 on nas" in found.what
        command, _, where = found.fix.partition("   # ")
        assert "'sport = :5646'" in command and where.startswith("as root on nas")


@pytest.mark.parametrize(("protocol", "state"), [("tcp", "ok"), ("http", "warning")])
def test_a_protocol_with_which_a_mesh_ends_long_pushes_is_a_warning(look, protocol, state):
    entry = {"/v1/config/service-defaults/registry": {"status": 200, "body": {"Protocol": protocol}}}

    assert look(mesh_protocol, entry).state == state


def test_settings_that_leave_nobody_in_are_a_warning(look, bcrypt_hash):
    found = look(settings_sound)

    assert found.state == "warning"
    assert "nobody can log in" in found.what
    assert found.fix == "${EDITOR:-vi} Pulumi.dev.yaml\npulumi up --stack dev"
    users = {"auth": {"users": {"alice": bcrypt_hash}}}
    assert look(settings_sound, sections=users).state == "ok"


def test_a_consul_that_is_down_leaves_the_service_unknown(look):
    down = {SERVICE: httpx.ConnectError("[Errno 111] Connection refused")}

    assert look(service_healthy, down).state == "not looked at"
