import json

import pytest

from components.retention import Retention, RetentionArgs

JOB, ACL = "nomad:index/job:Job", "nomad:index/aclPolicy:AclPolicy"


@pytest.fixture
def retention(deploy, read_settings):
    def make(*, nomad_acl=False):
        settings = read_settings(
            maintenance={"retention": {"rules": [{"repositories": ["*"], "keepNewest": 1}]}}
        )
        args = RetentionArgs(settings=settings, volume_source="registry_data", nomad_acl=nomad_acl)
        return deploy(lambda: Retention("retention", args).job_id)

    return make


def test_there_is_a_job_that_plans_and_one_that_removes(retention):
    recorder, _ = retention()

    jobs = {
        name: json.loads(recorder.inputs(JOB, f"retention-{name}")["jobspec"]) for name in ("plan", "apply")
    }
    assert jobs["plan"]["ID"] == "docker-registry-retention"
    assert jobs["apply"]["ID"] == "docker-registry-retention-apply"
    assert ACL not in recorder.types()


def test_with_acls_the_job_that_removes_may_freeze_the_registry(retention):
    recorder, _ = retention(nomad_acl=True)

    policy = recorder.inputs(ACL)
    assert policy["name"] == "docker-registry-retention-apply"
    assert policy["jobAcl"] == {"namespace": "default", "jobId": "docker-registry-retention-apply"}


def test_destroy_purges_both(retention):
    recorder, _ = retention()

    for name in ("plan", "apply"):
        assert recorder.inputs(JOB, f"retention-{name}")["purgeOnDestroy"] is True
