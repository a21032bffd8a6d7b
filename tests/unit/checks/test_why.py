import pytest

from checks.why import why

PLAN = "/v1/job/docker-registry/plan"


@pytest.fixture
def ask(servers, ready, recorded):
    """Ask why, of the servers as they were recorded, with some answers changed."""

    def run(recording, changed=None):
        settings = ready()
        return why(servers(settings, {**recorded(recording), **(changed or {})}), settings)

    return run


def planned(diff):
    fields = [{"Type": diff, "Name": "Priority", "Old": "50", "New": "60"}]
    return {PLAN: {"status": 200, "body": {"Diff": {"Type": diff, "Fields": fields}}}}


def test_a_registry_that_dies_shows_its_exit_code_and_its_last_words(ask):
    found = ask("reverted", planned("Edited"))

    assert not found.healthy
    assert "Failed due to progress deadline" in found.summary
    failure = found.failures[0]
    assert (failure.version, failure.exit_code, failure.node) == (3, 3, "vm")
    assert "Terminated: Exit Code: 3" in failure.events
    assert failure.stderr[-1] == "panic: invalid config: storage.filesystem: unknown"
    assert failure.stdout[-1] == "starting up"


def test_after_auto_revert_the_version_that_was_submitted_is_named_with_the_command_that_retries(ask):
    reverted = ask("reverted", planned("Edited")).reverted

    assert (reverted.running, reverted.submitted) == (4, 3)
    assert (
        reverted.retry
        == "nomad job revert -address=http://127.0.0.1:4646 -namespace=default docker-registry 3"
    )


def test_after_auto_revert_to_what_the_stack_asks_for_there_is_nothing_to_retry(ask):
    found = ask("healthy", planned("None"))

    assert found.healthy
    assert found.reverted is None


def test_an_image_that_cannot_be_pulled_shows_dockers_reason(ask):
    events = ask("image-pull").failures[0].events

    assert any(
        "Failed to pull `localhost:1/none:1`" in event and "connection refused" in event for event in events
    )
    assert len(events) == len(set(events))


def test_a_missing_volume_shows_for_each_node(ask, ready):
    placement = ask("no-volume").placement

    assert placement[0] == "1 node filtered: missing compatible host volumes"
    assert placement[1].startswith("node vm: ready in dc1")


def test_a_node_that_does_not_offer_the_volume_is_named_with_what_it_offers(ask, recorded):
    nodes = recorded("no-volume")["/v1/nodes"]
    nodes["body"][0]["HostVolumes"] = {"other": {"Path": "/srv/other", "ReadOnly": False}}

    placement = ask("no-volume", {"/v1/nodes": nodes}).placement

    assert placement[1].endswith("no volume registry_data (it offers other)")


def test_too_little_memory_shows_as_the_exhausted_resource(ask):
    assert ask("no-memory").placement[0] == "1 node exhausted: memory"


def test_a_node_without_docker_or_closed_to_work_is_named(ask, recorded):
    nodes = recorded("no-memory")["/v1/nodes"]
    node = nodes["body"][0]
    node["SchedulingEligibility"] = "ineligible"
    node["Drivers"]["docker"] = {"Healthy": False, "HealthDescription": "Failed to connect to docker daemon"}

    placement = ask("no-memory", {"/v1/nodes": nodes}).placement

    assert (
        "not eligible for new work (`nomad node eligibility -address=http://127.0.0.1:4646 -enable "
        in placement[1]
    )
    assert "docker driver: Failed to connect to docker daemon" in placement[1]


def test_a_task_that_ran_out_of_memory_names_the_setting(ask, recorded):
    allocations = recorded("image-pull")["/v1/job/docker-registry/allocations"]
    killed = {
        "Type": "Terminated",
        "DisplayMessage": "Exit Code: 137",
        "ExitCode": 137,
        "Details": {"oom_killed": "true"},
    }
    for allocation in allocations["body"]:
        allocation["TaskStates"]["registry"]["Events"].append(killed)

    found = ask("image-pull", {"/v1/job/docker-registry/allocations": allocations})

    assert found.failures[0].events[-1] == "Terminated: Exit Code: 137 (out of memory: raise registry.memory)"
    assert found.failures[0].exit_code == 137


def test_a_failing_check_shows_consuls_output(ask, recorded):
    health = recorded("healthy")["/v1/health/service/registry"]
    check = health["body"][0]["Checks"][-1]
    check |= {"Status": "critical", "Output": "HTTP GET http://127.0.0.1:5000/: 503\nService Unavailable"}

    found = ask("healthy", {**planned("None"), "/v1/health/service/registry": health})

    assert not found.healthy
    assert found.checks == ["registry is critical: HTTP GET http://127.0.0.1:5000/: 503 Service Unavailable"]


def test_a_running_job_whose_service_consul_does_not_know_is_not_healthy(ask):
    unknown = {"/v1/health/service/registry": {"status": 200, "body": []}}

    found = ask("healthy", {**planned("None"), **unknown})

    assert not found.healthy
    assert "service registry is not registered at http://127.0.0.1:8500" in found.checks[0]


def test_a_password_hash_in_a_log_is_masked(ask, recorded, bcrypt_hash):
    logs = {path: answer for path, answer in recorded("reverted").items() if "/fs/logs/" in path}
    answers = {path: {"status": 200, "body": f"bad line: demo:{bcrypt_hash}\n"} for path in logs}

    failure = ask("reverted", {**planned("Edited"), **answers}).failures[0]

    assert failure.stderr == ["bad line: demo:(bcrypt hash)"]


def test_a_job_that_nomad_does_not_know_is_to_be_deployed(servers, ready):
    found = why(servers(ready(), {}), ready())

    assert not found.healthy
    assert (
        found.summary == "Nomad at http://127.0.0.1:4646 has no job docker-registry: `pulumi up` deploys it"
    )
