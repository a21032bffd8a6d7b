import json

import pytest

from components.garbage_collection import GarbageCollection, GarbageCollectionArgs
from jobs.registry import VaultGrant

JOB, ACL = "nomad:index/job:Job", "nomad:index/aclPolicy:AclPolicy"
POLICY, ROLE = "vault:index/policy:Policy", "vault:jwt/authBackendRole:AuthBackendRole"
PATHS = {key: f"secret/data/docker-registry/{key}" for key in ("http", "config")}
S3 = {"bucket": "images", "region": "x", "accessKey": "AKIA", "secretKey": "hunter2"}
IN_S3 = {"driver": "s3", "s3": S3}


@pytest.fixture
def collection(deploy, read_settings):
    def make(*, nomad_acl=False, identity="policies", **sections):
        settings = read_settings(
            maintenance={"garbageCollection": {}}, vault={"identity": identity}, **sections
        )
        args = GarbageCollectionArgs(
            settings=settings,
            volume_source="registry_data",
            grant=VaultGrant(policy="docker-registry", role=None, paths=PATHS),
            login_backend="jwt-nomad",
            nomad_acl=nomad_acl,
        )
        return deploy(lambda: GarbageCollection("gc", args).job_id)[0]

    return make


def job(recorder, name):
    return json.loads(recorder.inputs(JOB, f"gc-{name}")["jobspec"])


def test_there_is_a_job_that_collects_and_one_that_predicts(collection):
    recorder = collection()

    assert job(recorder, "job")["ID"] == "docker-registry-gc"
    assert job(recorder, "dry-run")["ID"] == "docker-registry-gc-dry-run"
    assert not {ACL, POLICY, ROLE} & set(recorder.types())


def test_with_acls_the_job_may_change_the_freeze_and_its_own_record_and_see_allocations(collection):
    policy = collection(nomad_acl=True).inputs(ACL)

    assert policy["name"] == "docker-registry-gc"
    assert policy["jobAcl"] == {"namespace": "default", "jobId": "docker-registry-gc"}
    assert policy["rulesHcl"] == (
        'namespace "default" {\n'
        '  capabilities = ["read-job", "alloc-lifecycle"]\n'
        "  variables {\n"
        '    path "nomad/jobs/docker-registry" {\n'
        '      capabilities = ["read", "write", "destroy"]\n'
        "    }\n"
        '    path "nomad/jobs/docker-registry-gc" {\n'
        '      capabilities = ["read", "write"]\n'
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_the_keys_of_a_bucket_are_read_by_a_policy_of_the_jobs_own(collection):
    recorder = collection(storage=IN_S3)

    assert recorder.inputs(POLICY)["name"] == "docker-registry-gc"
    assert recorder.inputs(POLICY)["policy"].splitlines() == [
        f'path "{PATHS["config"]}" {{',
        '  capabilities = ["read"]',
        "}",
    ]
    for name in ("job", "dry-run"):
        (task,) = [
            each for each in job(recorder, name)["TaskGroups"][0]["Tasks"] if each["Name"] == "collect"
        ]
        assert task["Vault"]["Policies"] == ["docker-registry-gc"]


def test_with_workload_each_job_logs_in_by_a_role_bound_to_it(collection):
    recorder = collection(storage=IN_S3, identity="workload")

    for name, job_id in (("job", "docker-registry-gc"), ("dry-run", "docker-registry-gc-dry-run")):
        role = recorder.inputs(ROLE, f"gc-{name}-role")
        assert role["boundClaims"]["nomad_job_id"] == role["roleName"] == job_id
        assert role["tokenPolicies"] == ["docker-registry-gc"]


def test_destroy_purges_the_jobs(collection):
    recorder = collection()

    assert all(recorder.inputs(JOB, f"gc-{name}")["purgeOnDestroy"] for name in ("job", "dry-run"))
