import json

from components.registry_job import RegistryJob, RegistryJobArgs
from jobs.registry import VaultGrant

GRANT = VaultGrant(
    policy="docker-registry",
    role=None,
    http_path="secret/data/docker-registry/http",
    users_path="secret/data/docker-registry/users",
    config_path=None,
)


def test_the_job_waits_for_health_and_is_gone_after_destroy(deploy, read_settings):
    args = RegistryJobArgs(
        settings=read_settings(), volume_source="registry_data", service="registry", grant=GRANT
    )
    recorder, job_id = deploy(lambda: RegistryJob("registry", args).job_id.apply(lambda _: "known"))

    job = recorder.inputs("nomad:index/job:Job")
    assert job_id == "known"
    assert json.loads(job["jobspec"])["ID"] == "docker-registry"
    assert job["json"] is True
    assert job["detach"] is False
    assert job["purgeOnDestroy"] is True
    assert job["rerunIfDead"] is True
