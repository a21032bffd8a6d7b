import json

import pytest

from devcluster.images import STAND_INS
from jobs.nomad import render
from jobs.scan import scan_job, scan_service


@pytest.fixture
def job(read_settings):
    def make(scan=None, consul_ca=None, **sections):
        settings = read_settings(maintenance={"scan": scan or {}, "timeZone": "Europe/Berlin"}, **sections)
        return json.loads(render(scan_job(settings, volume_source="registry_data", consul_ca=consul_ca)))

    return make


def tasks(made):
    return {task["Name"]: task for task in made["TaskGroups"][0]["Tasks"]}


def test_it_runs_by_its_schedule_and_never_twice_at_a_time(job):
    made = job({"schedule": "5 1 * * *"})

    assert made["ID"] == "docker-registry-scan"
    assert (made["Periodic"]["Spec"], made["Periodic"]["TimeZone"]) == ("5 1 * * *", "Europe/Berlin")
    assert made["Periodic"]["ProhibitOverlap"] is True


def test_it_cannot_write_to_the_images_and_freezes_nothing(job):
    made = tasks(job())

    assert made.keys() == {"trivy", "scan"}
    (mount,) = made["scan"]["VolumeMounts"]
    assert (mount["Destination"], mount["ReadOnly"]) == ("/var/lib/registry", True)
    assert "VolumeMounts" not in made["trivy"] or made["trivy"]["VolumeMounts"] == []


def test_trivy_comes_out_of_its_own_image(job):
    config = tasks(job())["trivy"]["Config"]

    assert config["entrypoint"] == ["cp", "/usr/local/bin/trivy", "/alloc/trivy"]
    assert config["image"] in STAND_INS, "the embedded cluster has no such image"
    assert tasks(job({"image": "mirror/trivy:1"}))["trivy"]["Config"]["image"] == "mirror/trivy:1"


def test_every_task_runs_without_rights_and_the_script_as_the_owner_of_the_images(job):
    made = tasks(job(storage={"owner": {"uid": 1026, "gid": 100}}))

    assert made["scan"]["User"] == "1026:100"
    assert made["trivy"]["User"] == "65534:65534"
    for task in made.values():
        assert task["Config"]["cap_drop"] == ["all"]
        assert task["Config"]["readonly_rootfs"] is True
        assert "Vault" not in task


def test_the_script_is_told_what_to_look_for_and_where(job):
    env = tasks(
        job(
            {
                "newest": 3,
                "scanners": ["secret"],
                "threshold": "high",
                "ignoreUnfixed": True,
                "schedule": "0 0 * * 1",
            }
        )
    )["scan"]["Env"]

    assert (env["NEWEST"], env["SCANNERS"], env["THRESHOLD"], env["IGNORE_UNFIXED"]) == (
        "3",
        "secret",
        "high",
        "true",
    )
    assert (env["CHECK"], env["CHECK_HOURS"]) == ("registry-scan", str(24 * 8))
    assert tasks(job())["scan"]["Env"]["SCANNERS"] == "vuln,secret"


def test_the_certificates_of_consuls_go_with_the_job(job):
    assert tasks(job(consul_ca="certificates"))["scan"]["Env"]["CONSUL_CACERT"] == "/local/consul-ca.pem"
    assert "CONSUL_CACERT" not in tasks(job())["scan"]["Env"]


def test_another_stack_has_a_job_and_a_check_of_its_own(job, read_settings):
    made = job(registry={"name": "staging"})

    assert made["ID"] == tasks(made)["scan"]["Env"]["JOB"] == "staging-scan"
    assert tasks(made)["scan"]["Env"]["CHECK"] == "staging-scan"
    assert scan_service(read_settings()) == "registry-scan"
