import json

import pytest

from jobs.nomad import render
from jobs.pull_auth import pull_auth_job
from jobs.vault_login import VaultLogin

AUTH = {
    "mode": "vault",
    "grants": {"nodes": {"repositories": {"ci/app": ["pull"]}}},
    "nodes": {"grant": "nodes"},
}
ROLE = "auth/docker-registry-approle/role/docker-registry-pull"


@pytest.fixture
def job(read_settings):
    def make(approle=ROLE, **sections):
        made = pull_auth_job(
            read_settings(**{"auth": AUTH, **sections}),
            token_path="identity/oidc/token/docker-registry-nodes",
            approle=approle,
            login=VaultLogin(policy="docker-registry-pull", role=None),
            vault_ca=None,
        )
        return json.loads(render(made))

    return make


def task(job):
    return job["TaskGroups"][0]["Tasks"][0]


def test_one_task_runs_on_every_client_that_offers_the_volume(job):
    made = job()

    assert (made["ID"], made["Type"]) == ("docker-registry-pull", "system")
    assert made["TaskGroups"][0]["Volumes"]["registry_auth"]["Source"] == "registry_auth"
    assert task(made)["VolumeMounts"] == [
        {"Volume": "registry_auth", "Destination": "/auth", "ReadOnly": False}
    ]


def test_the_task_is_restarted_for_ever(job):
    assert job()["TaskGroups"][0]["RestartPolicy"]["Mode"] == "delay"


def test_the_script_is_told_every_address_the_token_and_the_way_to_log_in(job):
    env = task(job(registry={"hostname": "registry.lan"}))["Env"]

    assert env["ADDRESSES"] == "registry.lan:5000 registry.lan"
    assert env["TOKEN_PATH"] == "identity/oidc/token/docker-registry-nodes"
    assert env["AUTH_FILE"] == "/auth/config.json"
    assert env["APPROLE"] == ROLE


def test_a_job_whose_own_token_has_an_entity_needs_no_approle(job):
    assert "APPROLE" not in task(job(approle=None))["Env"]


def test_the_file_belongs_to_root_which_has_no_capability(job):
    made = task(job())

    assert made["User"] == "0:0"
    assert made["Config"]["cap_drop"] == ["all"]
