import json
from dataclasses import replace

import pytest

from jobs.maintenance import frozen, maintenance_job
from jobs.nomad import VolumeMount, render
from jobs.script_task import script_task
from jobs.vault_login import VaultLogin

LOGINS = {
    "policies": VaultLogin(policy="docker-registry-x", role=None),
    "workload": VaultLogin(policy="docker-registry-x", role="docker-registry-x"),
}


@pytest.fixture
def main(read_settings):
    return script_task("refresh_jwks", read_settings(), user="1:1", env={})


@pytest.fixture
def job(read_settings, main):
    def make(*, schedule="17 4 * * 0", before=(), measure=False, freeze=True, main=main, **sections):
        settings = read_settings(**sections)
        tasks = frozen(settings, main, before=before, measure=measure) if freeze else (main,)
        made = maintenance_job(settings, "docker-registry-x", tasks=tasks, volumes={}, schedule=schedule)
        return json.loads(render(made))

    return make


def tasks(job):
    return {task["Name"]: task for task in job["TaskGroups"][0]["Tasks"]}


def test_the_freeze_comes_before_the_work_and_the_thaw_after_it(job, main):
    made = tasks(job())

    assert made["freeze"]["Lifecycle"] == {"Hook": "prestart"}
    assert "Lifecycle" not in made[main.name]
    assert made["thaw"]["Lifecycle"] == {"Hook": "poststop"}


@pytest.mark.parametrize("way", LOGINS)
def test_the_freeze_waits_for_vault_where_the_work_needs_it_but_gets_no_token_to_read(
    job, read_settings, way
):
    needs = script_task("drill", read_settings(), user="1:1", env={}, login=LOGINS[way])
    made = tasks(job(main=needs))

    assert made["freeze"]["Vault"] == {**made["drill"]["Vault"], "DisableFile": True}
    assert made["freeze"]["Vault"]["Env"] is False
    assert made["freeze"].get("Identities") == made["drill"].get("Identities")
    assert ("Identities" in made["freeze"]) == (way == "workload")
    assert made["freeze"]["Identity"] == {"File": True}  # Nomad's own, for the variable
    assert "Vault" not in made["thaw"]


@pytest.mark.parametrize(
    ("volume", "shares"), [("registry_data", "true"), ("backups", "false"), (None, "false")]
)
def test_the_freeze_asks_for_the_registrys_node_only_where_the_work_is_on_its_volume(
    job, main, volume, shares
):
    mounts = (VolumeMount(volume=volume, destination="/x"),) if volume else ()

    assert tasks(job(main=replace(main, volume_mounts=mounts)))["freeze"]["Env"]["SHARES_VOLUME"] == shares


def test_without_work_that_needs_vault_both_reach_nomad_alone(job):
    made = tasks(job())

    for name in ("freeze", "thaw"):
        assert made[name]["Identity"] == {"File": True}
        assert "Vault" not in made[name]
        assert made[name]["Env"]["REGISTRY_JOB"] == "docker-registry"


@pytest.mark.parametrize(("mode", "tls"), [("traefik", "false"), ("registry", "true")])
def test_both_know_whether_the_registry_speaks_tls(job, mode, tls):
    made = tasks(job(tls={"mode": mode}))

    assert made["freeze"]["Env"]["REGISTRY_TLS"] == made["thaw"]["Env"]["REGISTRY_TLS"] == tls


def test_what_is_to_come_before_the_work_comes_one_after_the_other(job, read_settings):
    before = tuple(
        script_task(name, read_settings(), user="1:1", env={"X": "1"})
        for name in ("refresh_pull_auth", "retention")
    )
    made = tasks(job(before=before))
    first, second = made["refresh-pull-auth"], made["retention"]

    assert first["Lifecycle"] == second["Lifecycle"] == {"Hook": "prestart"}
    assert "AFTER" not in first["Env"]  # it waits for the freeze
    assert (second["Env"]["AFTER"], second["Env"]["X"]) == ("refresh-pull-auth", "1")


def test_to_measure_the_store_both_see_the_volume_and_cannot_write_it(job):
    made = tasks(job(measure=True))

    for name in ("freeze", "thaw"):
        assert made[name]["Env"]["STORE"] == "/var/lib/registry"
        assert [mount["ReadOnly"] for mount in made[name]["VolumeMounts"]] == [True]
    assert "STORE" not in tasks(job())["freeze"]["Env"]


def test_a_schedule_is_in_the_time_zone_of_the_stack_and_runs_never_overlap(job):
    assert job(maintenance={"timeZone": "Europe/Berlin"})["Periodic"] == {
        "Enabled": True,
        "Spec": "17 4 * * 0",
        "SpecType": "cron",
        "ProhibitOverlap": True,
        "TimeZone": "Europe/Berlin",
    }


def test_without_a_schedule_the_job_waits_to_be_dispatched(job):
    made = job(schedule=None)

    assert "Periodic" not in made
    assert made["ParameterizedJob"]["Payload"] == "forbidden"


def test_a_run_that_froze_and_failed_gets_one_more_allocation_to_thaw(job):
    group = job()["TaskGroups"][0]

    assert (group["RestartPolicy"]["Attempts"], group["RestartPolicy"]["Mode"]) == (0, "fail")
    assert (group["ReschedulePolicy"]["Attempts"], group["ReschedulePolicy"]["Unlimited"]) == (1, False)
    assert job(freeze=False)["TaskGroups"][0]["ReschedulePolicy"]["Attempts"] == 0


def test_the_freeze_takes_the_scripts_that_it_imports_along(job):
    templates = {each["DestPath"] for each in tasks(job())["freeze"]["Templates"]}

    assert "local/jobs/tasks/nomad_api.py" in templates
    assert "local/jobs/tasks/vault_api.py" not in templates


@pytest.mark.parametrize("mode", ["traefik", "registry"])
def test_freeze_and_thaw_know_where_clients_reach_it_through_traefik(job, mode):
    made = tasks(job(tls={"mode": mode, "port": 8443}))

    for name in ("freeze", "thaw"):
        assert made[name]["Env"]["ROUTE"] == "registry.homelab.local:8443"


def test_without_tls_there_is_no_way_through_traefik(job):
    assert "ROUTE" not in tasks(job(tls={"mode": "plain", "allowPlain": True}))["thaw"]["Env"]
