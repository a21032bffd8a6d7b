import json

from components.registry_job import RegistryJob, RegistryJobArgs
from jobs.registry import VaultGrant

GRANT = VaultGrant(
    policy="docker-registry",
    role=None,
    paths={key: f"secret/data/docker-registry/{key}" for key in ("http", "users")},
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


def test_what_an_autoscaler_chose_stays_and_a_deploy_has_time_for_each_instance(deploy, read_settings):
    registry = {"count": 2, "redis": {"address": "redis.lan:6379"}, "scaling": {"min": 2, "max": 5}}
    storage = {"driver": "s3", "s3": {"bucket": "images", "region": "any"}}
    args = RegistryJobArgs(
        settings=read_settings(registry=registry, storage=storage),
        volume_source=None,
        service="registry",
        grant=GRANT,
    )
    recorder, _ = deploy(lambda: RegistryJob("registry", args).job_id.apply(lambda _: "known"))

    job = recorder.inputs("nomad:index/job:Job")
    assert job["preserveCounts"] is True
    assert "Volumes" not in json.loads(job["jobspec"])["TaskGroups"][0]
