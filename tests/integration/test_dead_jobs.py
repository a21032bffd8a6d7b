"""A job that is dead: each command that looks tells it, and `pulumi up` starts it anew."""

import socket
import threading

import httpx
import pytest
import yaml
from s3_server import bridge_address
from upstream import Upstream
from upstream import registry as upstream_registry
from waiting import until

LATE = "registry-late:3"  # an image that nobody has until a test makes it
COMMANDS = ("status", "why", "drift", "doctor")


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("maintenance", garbageCollection={"schedule": "17 4 1 1 *"})  # not beside the tests
    deployment.change("monitoring", port=deployment.ports.registry_debug + 1)
    deployment.up()
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture
def nomad(registry):
    with httpx.Client(base_url=f"{registry.cluster.nomad_address}/v1", timeout=30) as client:
        yield client


def ops(registry, command, **options):
    return registry.run("python", "-m", "ops", command, "--stack", "dev", **options)


def told_by_each_command(registry, *words):
    for command in COMMANDS:
        told = ops(registry, command, check=False)
        assert all(each in told for each in words), f"{command}: {told}"


def mend(registry):
    """Deploy, and see that nothing is left to be done."""
    registry.up()
    registry.wait_until_served()
    assert registry.changes() == {}
    assert "everything is as it was deployed" in ops(registry, "drift")
    assert "healthy: " in ops(registry, "why")
    ops(registry, "status")


def running(nomad, job):
    """Ids of what runs of a job, by group."""
    return {
        each["TaskGroup"]: each["ID"]
        for each in nomad.get(f"/job/{job}/allocations").json()
        if (each["DesiredStatus"], each["ClientStatus"]) == ("run", "running")
    }


def test_an_image_that_cannot_be_pulled_at_the_first_deploy_is_run_by_the_next_up(registry, nomad):
    well = registry.settings_text()
    registry.destroy()
    try:
        registry.change("registry", image=LATE)
        assert "terminated with status 'failed'" in registry.up(check=False)
        told_by_each_command(registry, "Failed to pull `registry-late:3`")
        assert "terminated with status 'failed'" in registry.up(check=False), (
            "it is tried again, and is not there"
        )

        registry.docker("tag", "registry:3", LATE)
        mend(registry)
        allocation = registry.allocation()
        registry.up()
        assert registry.allocation() == allocation, "the mark of its start stays, so that it is not changed"
    finally:
        registry.restore(well)
        registry.up()
        registry.docker("rmi", LATE)


def test_a_mirror_whose_upstream_was_away_at_the_first_deploy_is_started_alone(registry, nomad, tmp_path):
    host, port = bridge_address(registry.cluster.instance), registry.ports.registry + 19
    well = registry.settings_text()
    with upstream_registry(tmp_path / "registry", port):
        upstreams = {name: Upstream(host, port, port=port + 1 + i) for i, name in enumerate(("hub", "quay"))}
        content = yaml.safe_load(well)
        content["config"]["docker-registry:mirrors"] = [
            {"name": name, "upstream": each.url, "port": registry.ports.registry + 10 + i, "auth": "none"}
            for i, (name, each) in enumerate(upstreams.items())
        ]
        registry.restore(yaml.safe_dump(content, sort_keys=False))
        try:
            with upstreams["quay"].away():
                assert "terminated with status 'failed'" in registry.up(check=False)
            before = running(nomad, "docker-registry-mirrors")
            assert before.keys() == {"hub"}
            told_by_each_command(registry, "job docker-registry-mirrors", "is dead (quay)")

            mend(registry)

            for i in range(2):
                url = f"http://registry.homelab.local:{registry.ports.registry + 10 + i}/v2/"
                assert httpx.get(url).status_code == 200
            assert running(nomad, "docker-registry-mirrors")["hub"] == before["hub"]
        finally:
            for each in upstreams.values():
                each.stop()
            registry.restore(well)
            registry.up()


def test_an_exporter_that_failed_serves_when_the_next_up_ends(registry, nomad):
    port = registry.ports.registry_debug + 2
    with socket.create_server(("127.0.0.1", port)):
        registry.change("monitoring", port=port)
        failures = []
        deploy = threading.Thread(target=lambda: failures.append(registry.up(check=False)))
        deploy.start()
        job = "/job/docker-registry-exporter"
        running_deployment = until(
            lambda: [
                each["ID"] for each in nomad.get(f"{job}/deployments").json() if each["Status"] == "running"
            ]
        )
        nomad.put(f"/deployment/fail/{running_deployment[0]}").raise_for_status()
        deploy.join()
        assert "terminated with status 'failed'" in failures[0]

    registry.up()

    assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    mend(registry)


def test_every_job_that_somebody_stopped_is_told_and_runs_again(registry, nomad):
    jobs = [each["ID"] for each in nomad.get("/jobs").json() if not each["ParentID"]]
    assert {"docker-registry", "docker-registry-gc", "docker-registry-exporter"} <= set(jobs)
    for job in jobs:
        nomad.delete(f"/job/{job}").raise_for_status()

    told_by_each_command(registry, "job docker-registry-gc", "was stopped")
    told = ops(registry, "status", check=False)
    assert all(f"job {job} was stopped" in told for job in jobs), told

    mend(registry)

    left = {each["ID"]: (each["Status"], each["Stop"]) for each in nomad.get("/jobs").json()}
    assert all(left[job] == ("running", False) for job in jobs), left
