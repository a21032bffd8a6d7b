import json

import pytest

from devcluster.images import STAND_INS
from jobs.backup import BackupJobs, drill_service, longest_gap
from jobs.nomad import render
from jobs.vault_login import VaultLogin

PATH, KEYS_PATH = "secret/data/docker-registry/backup", "secret/data/docker-registry/backup-s3"
BUCKET = {
    "endpoint": "https://s3.homelab.local:8333",
    "bucket": "backups",
    "accessKey": "the-access-key",
    "secretKey": "the-secret-key",
}
KINDS = ("backup", "drill", "snapshots", "restore")


@pytest.fixture
def job(read_settings):
    def make(kind, role=None, **sections):
        settings = read_settings(**{"maintenance": {"backup": {}}, **sections})
        jobs = BackupJobs(
            settings=settings,
            volume_source="registry_data",
            secret_path=PATH,
            bucket_keys_path=KEYS_PATH,
            vault_ca=None,
            consul_ca="-----BEGIN CERTIFICATE-----\n",
        )
        login = VaultLogin(policy="docker-registry-backup", role=role)
        return json.loads(render(getattr(jobs, kind)(login)))

    return make


def tasks(made):
    return {task["Name"]: task for task in made["TaskGroups"][0]["Tasks"]}


def test_backups_and_drills_run_by_their_schedules_and_never_twice_at_a_time(job):
    schedules = {"backup": {"schedule": "5 1 * * *", "drill": "5 3 2 * *"}, "timeZone": "Europe/Berlin"}

    for kind, spec in (("backup", "5 1 * * *"), ("drill", "5 3 2 * *")):
        made = job(kind, maintenance=schedules)
        assert made["ID"] == f"docker-registry-{kind}"
        assert (made["Periodic"]["Spec"], made["Periodic"]["TimeZone"]) == (spec, "Europe/Berlin")
        assert made["Periodic"]["ProhibitOverlap"] is True


def test_the_others_run_when_they_are_told_to(job):
    assert job("snapshots")["ParameterizedJob"]["MetaOptional"] == ["snapshot", "repository"]
    assert job("restore")["ParameterizedJob"] == {
        "Payload": "forbidden",
        "MetaRequired": ["snapshot"],
        "MetaOptional": ["repository", "accept_damage"],
    }
    assert "Periodic" not in job("restore")


@pytest.mark.parametrize(
    ("kind", "freezes"), [("backup", True), ("drill", False), ("snapshots", False), ("restore", True)]
)
def test_only_what_takes_or_replaces_the_store_freezes_the_registry(job, kind, freezes):
    hooks = {name: task.get("Lifecycle", {}).get("Hook") for name, task in tasks(job(kind)).items()}

    assert hooks == {
        "restic": "prestart",
        kind: None,
        **({"freeze": "prestart", "thaw": "poststop"} if freezes else {}),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_restore_can_write_to_the_images(job, kind):
    data, backups = tasks(job(kind))[kind]["VolumeMounts"]

    assert (data["Destination"], data["ReadOnly"]) == ("/var/lib/registry", kind != "restore")
    assert (backups["Volume"], backups["ReadOnly"]) == ("registry_backup", False)


def test_a_restore_that_is_stopped_has_time_to_put_things_back(job):
    assert tasks(job("restore"))["restore"]["KillTimeout"] == 5 * 60 * 10**9


def test_every_task_runs_without_rights_and_the_scripts_as_the_owner_of_the_images(job):
    for kind in KINDS:
        made = tasks(job(kind, storage={"owner": {"uid": 1026, "gid": 100}}))
        assert made[kind]["User"] == "1026:100"
        for task in made.values():
            assert task["Config"]["cap_drop"] == ["all"]
            assert task["Config"]["readonly_rootfs"] is True


def test_restic_comes_out_of_its_own_image(job):
    config = tasks(job("backup"))["restic"]["Config"]

    assert config["entrypoint"] == ["cp", "/usr/bin/restic", "/alloc/restic"]
    assert config["image"] in STAND_INS, "the embedded cluster has no such image"


def test_the_images_are_those_of_the_settings(job):
    pinned = {"restic": f"nas.lan/restic@sha256:{'0' * 64}", "python": "nas.lan/python:3.13.16"}

    made = tasks(
        job(
            "backup",
            maintenance={"backup": {"image": pinned["restic"]}},
            registry={"scriptImage": pinned["python"]},
        )
    )

    images = {name: task["Config"]["image"] for name, task in made.items()}
    assert images.pop("restic") == pinned["restic"]
    assert set(images.values()) == {pinned["python"]}


def test_the_scripts_are_told_where_everything_is_and_no_secret(job):
    task = tasks(job("backup", maintenance={"backup": {"keep": {"daily": 3, "weekly": 0, "monthly": 1}}}))[
        "backup"
    ]

    assert task["Config"]["args"] == ["python3", "-m", "jobs.tasks.logged", "jobs.tasks.backup"]
    assert {key: task["Env"][key] for key in task["Env"] if key.startswith("KEEP_")} == {
        "KEEP_DAILY": "3",
        "KEEP_WEEKLY": "0",
        "KEEP_MONTHLY": "1",
    }
    assert task["Env"]["SECRET_PATH"] == PATH
    assert task["Env"]["BACKUPS"] == task["VolumeMounts"][1]["Destination"]
    assert task["Vault"]["Policies"] == ["docker-registry-backup"]


@pytest.mark.parametrize(
    ("more", "folder", "region"),
    [
        ({}, "docker-registry", None),
        ({"prefix": "home/nas", "region": "eu-central-1"}, "home/nas", "eu-central-1"),
    ],
)
def test_backups_to_a_bucket_take_no_volume_and_fetch_its_keys_from_vault(job, more, folder, region):
    for kind in KINDS:
        made = job(kind, maintenance={"backup": {"s3": {**BUCKET, **more}}})
        env = tasks(made)[kind]["Env"]
        assert list(made["TaskGroups"][0]["Volumes"]) == ["registry_data"]
        assert len(tasks(made)[kind]["VolumeMounts"]) == 1
        assert env["BUCKET"] == f"s3:https://s3.homelab.local:8333/backups/{folder}"
        assert (env["BUCKET_KEYS_PATH"], env.get("BUCKET_REGION")) == (KEYS_PATH, region)
        assert "BACKUPS" not in env
        assert "the-" not in json.dumps(made)


@pytest.mark.parametrize("kind", ["backup", "restore"])
def test_what_needs_the_freeze_can_see_whether_it_still_holds_it(job, kind):
    assert tasks(job(kind))[kind]["Identity"] == {"File": True}


@pytest.mark.parametrize(("mode", "tls"), [("traefik", "false"), ("registry", "true")])
def test_a_backup_can_end_the_freeze_itself(job, mode, tls):
    task = tasks(job("backup", tls={"mode": mode}))["backup"]

    assert task["Identity"] == {"File": True}
    assert task["Env"]["REGISTRY_TLS"] == tls


def test_with_workload_identity_each_job_has_its_role(job):
    task = tasks(job("drill", role="docker-registry-drill"))["drill"]

    assert task["Vault"]["Role"] == "docker-registry-drill"
    assert "Policies" not in task["Vault"]


def test_a_drill_reports_for_its_own_stack(job, read_settings):
    env = tasks(job("drill", registry={"name": "staging"}))["drill"]["Env"]

    assert (env["CHECK"], env["CONSUL_ADDRESS"]) == ("staging-drill", "http://127.0.0.1:8500")
    assert drill_service(read_settings()) == "registry-drill"


def test_only_the_drill_is_given_the_certificates_of_consuls(job):
    given = [kind for kind in KINDS if "CONSUL_CACERT" in tasks(job(kind))[kind]["Env"]]

    assert given == ["drill"]


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("17 3 1 * *", 63),
        ("17 3 31W * *", 64),
        ("17 3 L * *", 63),
        ("17 3 * * 0", 8),
        ("17 3 ? * 0", 8),
        ("17 3 * * 0#1", 36),
        ("17 3 * * friL", 36),
        ("17 3 * * 5#5", 120),
        ("17 3 * * *", 2),
        ("0 */6 * * *", 2),
        ("17 3 1 1,7 *", 367),
        ("17 3 * jan sun#1", 374),
    ],
)
def test_a_drill_that_did_not_run_when_it_was_due_is_critical(job, schedule, days):
    env = tasks(job("drill", maintenance={"backup": {"drill": schedule}}))["drill"]["Env"]

    assert env["CHECK_HOURS"] == str(24 * days)
    assert longest_gap(schedule) == days
