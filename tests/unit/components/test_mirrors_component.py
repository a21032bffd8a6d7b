import json

import pytest

from components.mirrors import Mirrors, MirrorsArgs
from jobs.registry import VaultGrant

JOB, ACL = "nomad:index/job:Job", "nomad:index/aclPolicy:AclPolicy"
SECRET, POLICY = "vault:kv/secretV2:SecretV2", "vault:index/policy:Policy"
ROLE = "vault:jwt/authBackendRole:AuthBackendRole"
PATHS = {key: f"secret/data/docker-registry/{key}" for key in ("http", "users")}
HUB = {"name": "docker-hub", "upstream": "https://registry-1.docker.io", "port": 5010, "auth": "none"}
PRIVATE = {**HUB, "username": "me", "password": "hunter2"}
QUAY = {"name": "quay", "upstream": "https://quay.io", "port": 5011}


@pytest.fixture
def mirrors(deploy, read_settings, monkeypatch):
    def make(*listed, acl=False, identity="policies", issue_path=None, **sections):
        monkeypatch.setattr("components.mirrors.nomad_acl", lambda _: acl)
        settings = read_settings(mirrors=list(listed), vault={"identity": identity}, **sections)
        grant = VaultGrant(policy="docker-registry", role=None, paths=PATHS, issue_path=issue_path)
        args = MirrorsArgs(
            settings=settings, volume_source="registry_cache", grant=grant, login_backend="jwt-nomad"
        )
        return deploy(lambda: Mirrors("mirrors", args).addresses)

    return make


def policy_paths(recorder):
    return [line.split('"')[1] for line in recorder.inputs(POLICY)["policy"].splitlines() if "path" in line]


def test_open_mirrors_of_open_upstreams_are_one_job_and_nothing_else(mirrors):
    recorder, addresses = mirrors(HUB, {**QUAY, "auth": "none"})

    assert recorder.types() == ["homelab:registry:Mirrors", JOB]
    job = recorder.inputs(JOB)
    assert [group["Name"] for group in json.loads(job["jobspec"])["TaskGroups"]] == ["docker-hub", "quay"]
    assert job["detach"] is False and job["purgeOnDestroy"] is True
    assert addresses[1] == {
        "name": "quay",
        "upstream": "https://quay.io",
        "url": "https://quay.registry.homelab.local",
        "portUrl": "http://registry.homelab.local:5011",
    }


def test_user_and_password_go_to_vault_as_a_secret_and_only_there(mirrors):
    recorder, _ = mirrors(PRIVATE)

    stored = recorder.secret(SECRET, "mirrors-docker-hub", "dataJson")
    assert json.loads(stored) == {"username": "me", "password": "hunter2"}
    assert recorder.inputs(SECRET)["name"] == "docker-registry/mirrors/docker-hub"
    assert recorder.inputs(SECRET)["deleteAllVersions"] is True
    assert "hunter2" not in recorder.inputs(JOB)["jobspec"]
    assert policy_paths(recorder) == ["secret/data/docker-registry/mirrors/docker-hub"]


def test_mirrors_that_know_the_registrys_users_read_just_these_beside(mirrors):
    recorder, _ = mirrors(PRIVATE, QUAY)

    assert recorder.inputs(POLICY)["name"] == "docker-registry-mirrors"
    assert policy_paths(recorder) == [
        "secret/data/docker-registry/mirrors/docker-hub",
        "secret/data/docker-registry/users",
    ]


def test_in_tls_mode_registry_they_have_certificates_issued(mirrors):
    recorder, _ = mirrors(HUB, issue_path="pki/issue/registry", tls={"mode": "registry"})

    assert policy_paths(recorder) == ["pki/issue/registry"]


def test_with_workload_the_role_is_bound_to_the_job(mirrors):
    recorder, _ = mirrors(PRIVATE, identity="workload")

    role = recorder.inputs(ROLE)
    assert role["boundClaims"] == {"nomad_namespace": "default", "nomad_job_id": "docker-registry-mirrors"}
    assert role["tokenPolicies"] == ["docker-registry-mirrors"]


def test_a_greatest_size_brings_the_job_that_measures(mirrors):
    recorder, _ = mirrors({**HUB, "maxSize": "1GiB"})

    job = json.loads(recorder.inputs(JOB, "mirrors-evict")["jobspec"])
    assert job["ID"] == "docker-registry-mirrors-evict"
    assert ACL not in recorder.types()


def test_with_acls_that_job_may_end_allocations_and_read_logs(mirrors):
    recorder, _ = mirrors({**HUB, "maxSize": "1GiB"}, acl=True)

    policy = recorder.inputs(ACL)
    assert policy["jobAcl"] == {"namespace": "default", "jobId": "docker-registry-mirrors-evict"}
    assert '["read-job", "read-logs", "alloc-lifecycle"]' in policy["rulesHcl"]
