import json

import pytest

from jobs.nomad import render
from jobs.store_reading import store_reading_job


@pytest.fixture
def job(read_settings):
    def make(**sections):
        return json.loads(
            render(store_reading_job(read_settings(**sections), "upgrade_check", "1a2b", {"RULES": "[]"}))
        )

    return make


def task(made):
    (group,) = made["TaskGroups"]
    (task,) = group["Tasks"]
    return task


def test_it_runs_at_once_and_only_once(job):
    made = job()

    assert made["ID"] == "docker-registry-upgrade-check-1a2b"
    assert made["Type"] == "batch"
    assert "Periodic" not in made and "ParameterizedJob" not in made
    (group,) = made["TaskGroups"]
    assert group["RestartPolicy"]["Attempts"] == group["ReschedulePolicy"]["Attempts"] == 0


def test_it_cannot_write_to_the_volume_and_has_no_network_and_no_token(job):
    made = task(job())

    assert made["VolumeMounts"] == [
        {"Volume": "registry_data", "Destination": "/var/lib/registry", "ReadOnly": True}
    ]
    assert made["Config"]["network_mode"] == "none"
    assert "Vault" not in made and "Identity" not in made


def test_it_reads_as_the_volumes_owner_where_the_registry_runs(job):
    made = job(
        registry={"name": "staging", "namespace": "apps", "datacenters": ["nas"]},
        storage={"owner": {"uid": 1026, "gid": 100}},
    )

    assert task(made)["User"] == "1026:100"
    assert (made["ID"], made["Namespace"]) == ("staging-upgrade-check-1a2b", "apps")
    assert made["Datacenters"] == ["nas"]
    assert made["TaskGroups"][0]["Volumes"]["staging_data"]["Source"] == "staging_data"


def test_the_script_comes_with_all_that_it_imports(job):
    files = {each["DestPath"] for each in task(job())["Templates"]}

    assert {f"local/jobs/tasks/{name}.py" for name in ("upgrade_check", "store", "store_size")} <= files
