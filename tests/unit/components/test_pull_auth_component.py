import json

import pytest

from components.pull_auth import PullAuth, PullAuthArgs

POLICY, JOB = "vault:index/policy:Policy", "nomad:index/job:Job"
JWT_ROLE = "vault:jwt/authBackendRole:AuthBackendRole"
BACKEND, APPROLE = "vault:index/authBackend:AuthBackend", "vault:appRole/authBackendRole:AuthBackendRole"
AUTH = {
    "mode": "vault",
    "grants": {"nodes": {"repositories": {"ci/app": ["pull"]}}},
    "nodes": {"grant": "nodes"},
}


@pytest.fixture
def pull(deploy, read_settings):
    def make(identity):
        args = PullAuthArgs(
            settings=read_settings(auth=AUTH, vault={"identity": identity}),
            grant="docker-registry-nodes",
            grant_policy="docker-registry-nodes",
            login_backend="jwt-nomad",
        )
        recorder, _ = deploy(lambda: PullAuth("pull", args).urn)
        job = json.loads(recorder.inputs(JOB)["jobspec"])
        return recorder, job["TaskGroups"][0]["Tasks"][0]

    return make


def test_with_workload_the_jobs_own_log_in_has_the_grant(pull):
    recorder, task = pull("workload")

    assert recorder.inputs(JWT_ROLE)["boundClaims"]["nomad_job_id"] == "docker-registry-pull"
    assert recorder.inputs(JWT_ROLE)["tokenPolicies"] == ["docker-registry-nodes"]
    assert task["Vault"]["Role"] == "docker-registry-pull"
    assert "APPROLE" not in task["Env"]
    assert not {BACKEND, APPROLE, POLICY} & set(recorder.types())


def test_with_policies_the_jobs_token_can_only_log_in_by_the_approle(pull):
    recorder, task = pull("policies")
    role = "auth/docker-registry-approle/role/docker-registry-pull"

    assert task["Vault"]["Policies"] == ["docker-registry-pull"]
    assert task["Env"]["APPROLE"] == role
    assert recorder.inputs(POLICY)["policy"] == (
        f'path "{role}/role-id" {{\n  capabilities = ["read"]\n}}\n'
        f'path "{role}/secret-id" {{\n  capabilities = ["update"]\n}}'
    )
    assert JWT_ROLE not in recorder.types()


def test_the_approle_has_the_grant_for_one_request_at_a_time(pull):
    recorder, _ = pull("policies")
    role = recorder.inputs(APPROLE)

    assert recorder.inputs(BACKEND)["path"] == role["backend"] == "docker-registry-approle"
    assert role["tokenPolicies"] == ["docker-registry-nodes"]
    assert (role["secretIdNumUses"], role["secretIdTtl"], role["tokenTtl"]) == (1, 60, 60)


@pytest.mark.parametrize("identity", ["workload", "policies"])
def test_the_token_of_the_grant_is_what_the_job_asks_for(pull, identity):
    _, task = pull(identity)

    assert task["Env"]["TOKEN_PATH"] == "identity/oidc/token/docker-registry-nodes"
