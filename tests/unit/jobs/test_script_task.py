import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.nomad import to_api
from jobs.script_task import script_task
from jobs.vault_login import VaultLogin

POLICY = VaultLogin(policy="docker-registry-keys", role=None)


@pytest.fixture
def task(read_settings):
    def make(script="refresh_jwks", login=POLICY, vault_ca=None, consul_ca=None, **sections):
        made = script_task(
            script,
            read_settings(**sections),
            user="65534:65534",
            env={"JWKS_PATH": "secret/data/x"},
            login=login,
            vault_ca=vault_ca,
            consul_ca=consul_ca,
        )
        return to_api(made)

    return make


def files(task):
    """What Nomad renders of the templates: those of a script look nothing up."""
    return {each["DestPath"]: each["EmbeddedTmpl"].replace('{{"{{"}}', "{{") for each in task["Templates"]}


@pytest.mark.parametrize("script", ["refresh_jwks", "refresh_pull_auth"])
def test_a_script_starts_from_the_files_that_nomad_renders(task, tmp_path, script):
    made = task(script)
    for path, text in files(made).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    # The script as it is in the job, isolated from this repository, up to the first thing that it needs.
    command = [sys.executable, "-S", *made["Config"]["args"][1:]]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "local")}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert "KeyError: 'NOMAD_SECRETS_DIR'" in ended.stderr


def test_a_script_in_a_job_is_the_file_of_the_repository(task):
    assert files(task())["local/jobs/tasks/refresh_jwks.py"] == Path("jobs/tasks/refresh_jwks.py").read_text()


def test_nothing_in_a_script_is_left_for_nomads_template_language(task):
    for each in task("refresh_pull_auth")["Templates"]:
        assert "{{" not in each["EmbeddedTmpl"].replace('{{"{{"}}', "")


def test_a_task_has_no_right_that_it_does_not_need(task):
    made = task()

    assert made["User"] == "65534:65534"
    assert made["Config"]["cap_drop"] == ["all"]
    assert made["Config"]["security_opt"] == ["no-new-privileges"]
    assert made["Config"]["readonly_rootfs"] is True
    assert made["Resources"] == {"CPU": 50, "MemoryMB": 64}


def test_a_task_reaches_vault_where_its_client_does(task):
    made = task()

    assert made["Config"]["network_mode"] == "host"
    assert made["Env"]["VAULT_ADDR"] == "http://127.0.0.1:8200"
    assert "VAULT_CACERT" not in made["Env"]


def test_the_token_is_in_a_file_and_never_in_the_environment(task):
    assert task()["Vault"] == {
        "Policies": ["docker-registry-keys"],
        "Env": False,
        "DisableFile": False,
        "ChangeMode": "noop",
    }


def test_with_workload_the_task_logs_in_by_its_role_with_an_identity_for_vault(task):
    made = task(login=VaultLogin(policy="docker-registry-keys", role="docker-registry-keys"))

    assert made["Vault"]["Role"] == "docker-registry-keys"
    assert "Policies" not in made["Vault"]
    assert made["Identities"] == [{"Name": "vault_default", "Audience": ["vault.io"], "TTL": 60 * 60 * 10**9}]


def test_the_ca_of_the_vault_provider_goes_with_the_job(task):
    made = task(vault_ca="-----BEGIN CERTIFICATE-----\n")

    assert files(made)["local/vault-ca.pem"] == "-----BEGIN CERTIFICATE-----\n"
    assert made["Env"]["VAULT_CACERT"] == "/local/vault-ca.pem"
    assert "CONSUL_CACERT" not in made["Env"]


def test_the_ca_of_the_consul_provider_goes_with_the_job(task):
    made = task(consul_ca="-----BEGIN CERTIFICATE-----\n")

    assert files(made)["local/consul-ca.pem"] == "-----BEGIN CERTIFICATE-----\n"
    assert made["Env"]["CONSUL_CACERT"] == "/local/consul-ca.pem"


def test_a_public_image_is_pulled_also_where_the_auth_file_is_missing(task):
    assert task()["Config"]["auth_soft_fail"] is True


def test_the_same_task_is_the_same_text(task):
    assert json.dumps(task()) == json.dumps(task())
