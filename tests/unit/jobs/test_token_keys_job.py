import json

import pytest

from jobs.nomad import render
from jobs.token_keys import token_keys_job
from jobs.vault_login import VaultLogin


@pytest.fixture
def job(read_settings):
    def make(**sections):
        made = token_keys_job(
            read_settings(**sections),
            jwks_path="secret/data/docker-registry/jwks",
            login=VaultLogin(policy="docker-registry-keys", role=None),
            vault_ca=None,
        )
        return json.loads(render(made))

    return make


def test_the_job_runs_once_a_day_and_never_twice_at_a_time(job):
    made = job()

    assert (made["ID"], made["Type"]) == ("docker-registry-keys", "batch")
    assert made["Periodic"] == {
        "Enabled": True,
        "Spec": "43 5 * * *",
        "SpecType": "cron",
        "ProhibitOverlap": True,
        "TimeZone": "UTC",
    }


def test_a_run_that_failed_ends_instead_of_starting_again(job):
    group = job()["TaskGroups"][0]

    assert (group["RestartPolicy"]["Attempts"], group["RestartPolicy"]["Mode"]) == (0, "fail")
    assert group["ReschedulePolicy"] == {"Attempts": 0, "Unlimited": False}


def test_the_script_is_told_the_secret(job):
    task = job()["TaskGroups"][0]["Tasks"][0]

    assert task["Config"]["args"] == ["python3", "-m", "jobs.tasks.logged", "jobs.tasks.refresh_jwks"]
    assert task["Env"]["JWKS_PATH"] == "secret/data/docker-registry/jwks"


def test_another_stack_has_a_job_of_its_own(job):
    made = job(registry={"name": "staging", "namespace": "apps", "datacenters": ["nas"]})

    assert (made["ID"], made["Namespace"], made["Datacenters"]) == ("staging-keys", "apps", ["nas"])
