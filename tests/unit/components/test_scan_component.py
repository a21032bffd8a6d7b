import json

import pytest

from components.scan import Scan, ScanArgs

JOB, COMMAND = "nomad:index/job:Job", "command:local:Command"


@pytest.fixture
def scan(deploy, read_settings):
    def make(**sections):
        settings = read_settings(maintenance={"scan": {}}, **sections)
        return deploy(lambda: Scan("scan", ScanArgs(settings=settings, volume_source="images")).job_id)[0]

    return make


def test_there_is_one_job_that_reads_the_volume_and_is_purged_in_the_end(scan):
    made = scan().inputs(JOB)

    (group,) = json.loads(made["jobspec"])["TaskGroups"]
    assert group["Volumes"]["registry_data"]["Source"] == "images"
    assert made["purgeOnDestroy"] is True


def test_the_check_goes_with_the_job(scan):
    made = scan(registry={"name": "staging"}).inputs(COMMAND)

    assert made["create"] == ":"
    assert made["triggers"] == ["staging-scan"]  # with another name the old check goes
    assert made["environment"] == {"CONSUL": "http://127.0.0.1:8500", "CHECK": "staging-scan"}
