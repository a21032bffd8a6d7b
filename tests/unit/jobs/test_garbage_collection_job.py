import json

import pytest
import yaml

from jobs.garbage_collection import collection_job, prediction_job, reads_secrets
from jobs.nomad import render
from jobs.script_task import script_task
from jobs.vault_login import VaultLogin

S3 = {"bucket": "images", "region": "x", "accessKey": "AKIA", "secretKey": "hunter2"}
IN_S3 = {"driver": "s3", "s3": S3}
SHARED = {"redis": {"address": "redis.lan:6379", "password": "hunter2"}, "config": {"redis": {"db": 2}}}


@pytest.fixture
def jobs(read_settings):
    """Make both jobs: the one that collects, and the one that predicts."""

    def make(login=None, config_path=None, collection=None, before=(), **sections):
        settings = read_settings(
            maintenance={"garbageCollection": {"schedule": "1 2 * * *", **(collection or {})}}, **sections
        )
        given = {"volume_source": settings.volume, "config_path": config_path, "login": login}
        collect, predict = collection_job(settings, **given, before=before), prediction_job(settings, **given)
        return [json.loads(render(job)) for job in (collect, predict)]

    return make


def tasks(job):
    return {task["Name"]: task for task in job["TaskGroups"][0]["Tasks"]}


def config(task):
    text = task["Templates"][0]["EmbeddedTmpl"]
    return yaml.safe_load(text.replace("{{", "'").replace("}}", "'"))


def test_one_job_runs_by_the_schedule_and_the_other_when_it_is_dispatched(jobs):
    collect, predict = jobs()

    assert (collect["ID"], collect["Periodic"]["Spec"]) == ("docker-registry-gc", "1 2 * * *")
    assert predict["ID"] == "docker-registry-gc-dry-run"
    assert "ParameterizedJob" in predict


def test_the_registrys_own_image_collects_as_the_volumes_owner(jobs):
    task = tasks(jobs(registry={"image": "registry:3.1"})[0])["collect"]

    assert task["Config"]["image"] == "registry:3.1"
    assert task["Config"]["args"] == ["garbage-collect", "/secrets/config.yml"]
    assert task["User"] == "1000:1000"
    assert task["Config"]["network_mode"] == "none"
    assert task["VolumeMounts"] == [
        {"Volume": "registry_data", "Destination": "/var/lib/registry", "ReadOnly": False}
    ]


def test_a_dry_run_can_write_nothing_and_freezes_nothing(jobs):
    made = tasks(jobs()[1])

    assert list(made) == ["prepare-collection", "collect", "predict-collection"]
    assert "--dry-run" in made["collect"]["Config"]["args"]
    assert all(mount["ReadOnly"] for task in made.values() for mount in task["VolumeMounts"])


def test_a_dry_run_leaves_its_output_where_the_prediction_reads_it(jobs):
    made = tasks(jobs()[1])
    output = made["predict-collection"]["Env"]["OUTPUT"]

    assert made["collect"]["Config"]["entrypoint"][2].endswith(f"| tee {output}")


def test_images_without_a_tag_go_only_if_the_stack_says_so(jobs):
    for made in jobs(collection={"deleteUntagged": True}):
        assert "--delete-untagged" in tasks(made)["collect"]["Config"]["args"]
    for made in jobs():
        assert "--delete-untagged" not in tasks(made)["collect"]["Config"]["args"]


def test_the_collection_reads_only_where_the_store_is(jobs):
    made = config(tasks(jobs()[0])["collect"])

    assert set(made) == {"version", "log", "storage"}
    assert made["storage"] == {
        "filesystem": {"rootdirectory": "/var/lib/registry"},
        "delete": {"enabled": True},
    }


def test_a_dry_run_reads_a_shadow_of_the_store_that_is_laid_before_it(jobs):
    made = tasks(jobs()[1])
    first = made["prepare-collection"]

    assert first["Lifecycle"] == {"Hook": "prestart"}
    assert config(made["collect"])["storage"]["filesystem"] == {"rootdirectory": first["Env"]["SHADOW"]}
    assert first["Env"]["STORE"] == made["predict-collection"]["Env"]["STORE"] == "/var/lib/registry"


@pytest.mark.parametrize(
    ("image", "collection", "version", "untagged"),
    [
        ("registry:2", {}, "2", "false"),
        ("registry:3", {}, "3", "false"),
        ("registry:3", {"deleteUntagged": True}, "3", "true"),
    ],
)
def test_the_store_is_prepared_for_the_collection_that_follows(jobs, image, collection, version, untagged):
    for made in jobs(registry={"image": image}, collection=collection):
        env = tasks(made)["prepare-collection"]["Env"]
        assert (env["VERSION"], env["DELETE_UNTAGGED"]) == (version, untagged)


def test_a_run_prepares_the_store_itself_after_everything_else(jobs, read_settings):
    first = script_task("retention", read_settings(), user="1:1", env={})
    made = tasks(jobs(before=(first,))[0])

    assert list(made) == [
        "check-collection",
        "freeze",
        "retention",
        "prepare-collection",
        "collect",
        "thaw",
    ]
    last = made["prepare-collection"]
    assert (last["Env"]["AFTER"], last["VolumeMounts"][0]["ReadOnly"]) == ("retention", False)
    assert "SHADOW" not in last["Env"]


def test_the_registry_is_frozen_only_once_the_store_was_looked_through(jobs):
    for collection in ({}, {"deleteUntagged": True}):
        made = tasks(jobs(collection=collection)[0])
        look, prepare = made["check-collection"], made["prepare-collection"]

        assert look["Lifecycle"] == {"Hook": "prestart"}
        assert look["VolumeMounts"][0]["ReadOnly"]
        assert look["Env"] == prepare["Env"]
        assert made["freeze"]["Env"]["AFTER"] == "check-collection"


def test_a_bucket_is_reached_by_the_network_with_keys_from_vault_and_without_a_volume(jobs):
    path = "secret/data/docker-registry/config"
    login = VaultLogin(policy="docker-registry-gc", role=None)
    for made in jobs(login=login, config_path=path, storage=IN_S3):
        task = tasks(made)["collect"]
        text = task["Templates"][0]["EmbeddedTmpl"]

        assert "hunter2" not in json.dumps(made)
        assert f'with secret "{path}"' in text and "storage.s3.secretkey" in text
        assert task["Vault"]["Policies"] == ["docker-registry-gc"]
        assert "network_mode" not in task["Config"]
        assert "Volumes" not in made["TaskGroups"][0]
        assert "prepare-collection" not in tasks(made)


def test_with_a_bucket_the_freeze_waits_for_vault_and_asks_for_no_node(jobs):
    login = VaultLogin(policy="docker-registry-gc", role=None)
    freeze = tasks(jobs(login=login, config_path="secret/data/x/config", storage=IN_S3)[0])["freeze"]

    assert freeze["Vault"]["Policies"] == ["docker-registry-gc"]
    assert freeze["Env"]["SHARES_VOLUME"] == "false"


def test_without_secrets_of_the_store_no_task_has_a_token_for_vault(jobs):
    assert all("Vault" not in task for made in jobs() for task in tasks(made).values())


def test_secrets_elsewhere_in_config_yml_are_none_of_the_stores(read_settings):
    cache = {"storage": {"cache": {"blobdescriptor": "redis"}}}
    elsewhere = {"config": {**cache, "redis": {"addrs": ["r:6379"], "password": "hunter2"}}}

    assert not reads_secrets(read_settings(registry=elsewhere))
    assert reads_secrets(read_settings(storage=IN_S3))
    assert reads_secrets(read_settings(registry=SHARED))


def test_a_redis_is_emptied_before_the_collection_and_while_the_registry_is_frozen(jobs):
    path, login = "secret/data/docker-registry/config", VaultLogin(policy="docker-registry-gc", role=None)
    collect, predict = jobs(login=login, config_path=path, storage=IN_S3, registry=SHARED)
    task = tasks(collect)["empty-cache"]

    assert (task["Env"]["REDIS_ADDRESS"], task["Env"]["REDIS_DATABASE"]) == ("redis.lan:6379", "2")
    assert task["Lifecycle"]["Hook"] == "prestart"
    [password] = [each for each in task["Templates"] if each["DestPath"] == "secrets/redis-password"]
    assert (
        f'with secret "{path}"' in password["EmbeddedTmpl"] and "redis.password" in password["EmbeddedTmpl"]
    )
    assert task["Vault"]["DisableFile"] is True
    assert "hunter2" not in json.dumps(collect)
    assert "empty-cache" not in tasks(predict)


def test_a_redis_without_a_password_needs_no_token(jobs):
    task = tasks(jobs(registry={"redis": {"address": "redis.lan:6379"}})[0])["empty-cache"]

    assert "Vault" not in task and task["Env"]["REDIS_DATABASE"] == "0"


def test_another_stack_has_jobs_of_its_own(jobs):
    collect, predict = jobs(registry={"name": "staging", "namespace": "apps"})

    assert (collect["ID"], predict["ID"]) == ("staging-gc", "staging-gc-dry-run")
    assert collect["Namespace"] == predict["Namespace"] == "apps"
    assert tasks(collect)["freeze"]["Env"]["REGISTRY_JOB"] == "staging"
