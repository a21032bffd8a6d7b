import pytest

from checks.status import status


@pytest.fixture
def running(recorded, web_server):
    """The recorded answers of a healthy job, with a registry that answers as told."""

    def make(code=200, headers=None):
        server = web_server(body="", code=code, headers=headers or {})
        answers = recorded("healthy")
        for instance in answers["/v1/health/service/registry"]["body"]:
            instance["Service"]["Port"] = server.port
        return answers

    return make


def test_a_registry_that_runs_is_healthy(servers, ready, running):
    settings = ready(sections={"storage": {"path": "/srv/volumes/registry_data"}})

    found = status(servers(settings, running()), settings)

    assert found.healthy
    assert (found.job_state, found.job_version) == ("running", 4)
    assert (found.deployment.state, found.allocation.state) == ("successful", "running")
    assert found.allocation.node == "vm"
    assert found.service_state == "passing"
    assert (found.answer.code, found.answer.mode) == (200, "read-write")
    assert found.volume_path == "/srv/volumes/registry_data"


def test_a_frozen_registry_is_shown_as_read_only(servers, ready, running):
    answers = running(headers={"X-Registry-Mode": "read-only"})

    assert status(servers(ready(), answers), ready()).answer.mode == "read-only"


def test_a_registry_whose_storage_fails_is_not_healthy(servers, ready, running):
    found = status(servers(ready(), running(code=503)), ready())

    assert not found.healthy
    assert found.answer.code == 503


def test_a_registry_that_does_not_answer_is_not_healthy(servers, ready, running):
    answers = running()
    answers["/v1/health/service/registry"]["body"][0]["Service"]["Port"] = 1

    found = status(servers(ready(), answers), ready())

    assert not found.healthy
    assert found.answer.code is None
    assert "refused" in found.answer.error


def test_a_critical_check_is_not_healthy(servers, ready, running):
    answers = running()
    answers["/v1/health/service/registry"]["body"][0]["Checks"][0]["Status"] = "critical"

    found = status(servers(ready(), answers), ready())

    assert (found.healthy, found.service_state) == (False, "critical")


def test_a_job_that_was_never_deployed_is_not_healthy(servers, ready, recorded):
    answers = {
        "/v1/nodes": recorded("healthy")["/v1/nodes"],
        "/v1/health/service/registry": {"status": 200, "body": []},
    }

    found = status(servers(ready(), answers), ready())

    assert not found.healthy
    assert (found.job_state, found.allocation, found.answer) == (None, None, None)


def test_an_image_that_cannot_be_pulled_shows_as_a_failed_allocation(servers, ready, recorded):
    found = status(servers(ready(), recorded("image-pull")), ready())

    assert (found.healthy, found.allocation.state, found.deployment.state) == (False, "failed", "failed")
