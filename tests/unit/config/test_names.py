from jobs.backup import BackupJobs
from jobs.garbage_collection import collection_job, prediction_job
from jobs.mirrors_evict import mirrors_evict_job
from jobs.retention import apply_job, plan_job
from jobs.scan import scan_job
from jobs.vault_login import VaultLogin

S3 = {"driver": "s3", "s3": {"bucket": "images", "region": "any"}}


def test_one_instance_is_known_by_its_port_and_by_traefiks_name(read_settings):
    settings = read_settings()

    assert settings.registry_address == "registry.homelab.local:5000"
    assert settings.client_addresses == ("registry.homelab.local:5000", "registry.homelab.local")


def test_several_instances_are_known_by_traefiks_name_alone(read_settings):
    registry = {"count": 2, "redis": {"address": "redis.lan:6379"}}
    settings = read_settings(registry=registry, storage=S3, tls={"port": 8443})

    assert settings.registry_address == settings.traefik_address == "registry.homelab.local:8443"
    assert settings.client_addresses == ("registry.homelab.local:8443",)


def test_the_stacks_job_names_have_every_kind_of_maintenance_and_no_other_stacks(read_settings):
    mirror = {"name": "hub", "upstream": "https://quay.io", "port": 5010, "maxSize": "1GiB"}
    retention = {"rules": [{"repositories": ["ci/*"], "keepNewest": 10}]}
    maintenance = {"garbageCollection": {}, "retention": retention, "backup": {}, "scan": {}}
    settings = read_settings(maintenance=maintenance, mirrors=[mirror])
    login = VaultLogin(policy="any", role=None)
    backup = BackupJobs(settings=settings, volume_source="v", secret_path="s", vault_ca=None, consul_ca=None)
    collection = {"volume_source": "v", "config_path": None, "login": None}
    made = [
        collection_job(settings, **collection),
        prediction_job(settings, **collection),
        plan_job(settings, volume_source="v"),
        apply_job(settings, volume_source="v"),
        scan_job(settings, volume_source="v", consul_ca=None),
        mirrors_evict_job(settings, volume_source="v"),
        *(make(login) for make in (backup.backup, backup.drill, backup.snapshots, backup.restore)),
    ]
    others = {"", "-keys", "-pull", "-mirrors", "-exporter"}

    assert settings.job_names == {job.id for job in made} | {f"docker-registry{each}" for each in others}
