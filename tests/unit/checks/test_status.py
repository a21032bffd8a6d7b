import copy

import pytest

from checks.status import status


@pytest.fixture
def running(recorded, web_server):
    """The recorded answers of a healthy job, with a registry that answers as told."""

    def make(code=200, mode="read-write"):
        server = web_server(body="", code=code, headers={"X-Registry-Mode": mode})
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
    assert found.freeze is None
    assert found.volume_path == "/srv/volumes/registry_data"


def test_a_frozen_registry_is_shown_as_read_only(servers, ready, running):
    answers = running(mode="read-only")

    items = {"mode": "read-only", "owner": "by hand", "job": "", "since": ""}
    answers["/v1/var/nomad/jobs/docker-registry"] = {
        "status": 200,
        "body": {"ModifyIndex": 7, "Items": items},
    }

    found = status(servers(ready(), answers), ready())

    assert found.answer.mode == "read-only"
    assert (found.freeze.owner, found.freeze.owner_lives) == ("by hand", None)


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


def shared(ready):
    return ready(
        sections={
            "registry": {"count": 3, "redis": {"address": "redis.lan:6379"}},
            "storage": {
                "driver": "s3",
                "s3": {"bucket": "images", "region": "any", "endpoint": "http://s3.lan:8333"},
            },
        }
    )


def three(answers):
    """The same answers for a job of three instances."""
    answers["/v1/job/docker-registry"]["body"]["TaskGroups"][0]["Count"] = 3
    for path in ("/v1/job/docker-registry/allocations", "/v1/health/service/registry"):
        [one] = [each for each in answers[path]["body"] if each.get("ClientStatus", "running") == "running"]
        answers[path]["body"] = [copy.deepcopy(one) for _ in range(3)]
    return answers


def test_several_instances_that_all_run_are_healthy(servers, ready, running):
    settings = shared(ready)
    found = status(servers(settings, three(running())), settings)

    assert found.healthy
    assert (found.instances, found.instances_wanted) == (3, 3)
    assert (found.bucket, found.volume) == ("http://s3.lan:8333/images", None)


def test_one_of_several_instances_that_fails_is_shown(servers, ready, running):
    settings, answers = shared(ready), three(running())
    answers["/v1/job/docker-registry/allocations"]["body"][1]["ClientStatus"] = "failed"
    answers["/v1/health/service/registry"]["body"][1]["Checks"][0]["Status"] = "critical"
    answers["/v1/health/service/registry"]["body"][1]["Service"]["Port"] = 1

    found = status(servers(settings, answers), settings)

    assert not found.healthy
    assert (found.instances, found.allocation.state) == (2, "failed")
    assert (found.service_state, found.answer.code) == ("critical", None)
