import json

import pytest

from components.token_keys import TokenKeys, TokenKeysArgs, policy_text

SECRET, POLICY = "vault:kv/secretV2:SecretV2", "vault:index/policy:Policy"
JOB, ROLE = "nomad:index/job:Job", "vault:jwt/authBackendRole:AuthBackendRole"
GRANTS = {"ci": {"repositories": {"ci/app": ["pull"]}}}


@pytest.fixture
def keys(deploy, read_settings):
    def make(identity="policies", **sections):
        settings = read_settings(
            auth={"mode": "vault", "grants": GRANTS}, vault={"identity": identity}, **sections
        )
        args = TokenKeysArgs(settings=settings, login_backend="jwt-nomad")
        return deploy(lambda: TokenKeys("keys", args).jwks_path)

    return make


def test_the_path_of_the_key_set_is_an_output(keys):
    recorder, path = keys()

    assert path == "secret/data/docker-registry/jwks"
    assert json.loads(recorder.inputs(JOB)["jobspec"])["ID"] == "docker-registry-keys"


def test_the_secret_starts_empty_is_never_read_and_leaves_nothing_behind(keys):
    recorder, _ = keys()
    made = recorder.inputs(SECRET)

    assert (made["mount"], made["name"]) == ("secret", "docker-registry/jwks")
    assert json.loads(recorder.secret(SECRET, None, "dataJson")) == {"jwks": '{"keys": []}'}
    assert made["disableRead"] is True and made["deleteAllVersions"] is True


def test_the_jobs_policy_writes_the_key_set_and_nothing_else(keys):
    recorder, path = keys()

    assert recorder.inputs(POLICY)["name"] == "docker-registry-keys"
    assert recorder.inputs(POLICY)["policy"] == policy_text(path)
    assert policy_text(path).count("path ") == 1
    assert '"create", "read", "update"' in policy_text(path)


def test_with_policies_the_job_is_handed_the_policy(keys):
    recorder, _ = keys("policies")
    job = json.loads(recorder.inputs(JOB)["jobspec"])

    assert job["TaskGroups"][0]["Tasks"][0]["Vault"]["Policies"] == ["docker-registry-keys"]
    assert ROLE not in recorder.types()


def test_with_workload_the_job_logs_in_by_a_role_bound_to_it(keys):
    recorder, _ = keys("workload")
    job = json.loads(recorder.inputs(JOB)["jobspec"])

    assert job["TaskGroups"][0]["Tasks"][0]["Vault"]["Role"] == "docker-registry-keys"
    assert recorder.inputs(ROLE)["boundClaims"]["nomad_job_id"] == "docker-registry-keys"
    assert recorder.inputs(ROLE)["tokenPolicies"] == ["docker-registry-keys"]


def test_destroy_purges_the_job(keys):
    assert keys()[0].inputs(JOB)["purgeOnDestroy"] is True
