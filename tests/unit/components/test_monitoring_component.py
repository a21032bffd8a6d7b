import json
import subprocess

import pytest

from components.monitoring import Monitoring, MonitoringArgs

JOB, ACL, COMMAND = "nomad:index/job:Job", "nomad:index/aclPolicy:AclPolicy", "command:local:Command"


@pytest.fixture
def monitoring(deploy, read_settings):
    def make(section=None, *, nomad_acl=False, **sections):
        settings = read_settings(monitoring=section or {}, **sections)
        args = MonitoringArgs(settings=settings, volume_source="images", nomad_acl=nomad_acl)
        return deploy(lambda: Monitoring("monitoring", args).files)

    return make


def test_the_exporter_is_waited_for_and_gone_after_destroy(monitoring):
    recorder, files = monitoring()
    job = recorder.inputs(JOB)

    assert json.loads(job["jobspec"])["ID"] == "docker-registry-exporter"
    assert (job["detach"], job["purgeOnDestroy"], job["rerunIfDead"]) == (False, True, True)
    assert files == []
    assert not {ACL, COMMAND} & set(recorder.types())


def test_with_acls_it_may_look_at_jobs_and_read_two_records_and_nothing_else(monitoring):
    recorder, _ = monitoring(nomad_acl=True)
    policy = recorder.inputs(ACL)

    assert policy["name"] == "docker-registry-exporter"
    assert policy["jobAcl"] == {"namespace": "default", "jobId": "docker-registry-exporter"}
    assert policy["rulesHcl"] == (
        'namespace "default" {\n'
        '  capabilities = ["read-job"]\n'
        "  variables {\n"
        '    path "nomad/jobs/docker-registry-gc" {\n'
        '      capabilities = ["read"]\n'
        "    }\n"
        '    path "nomad/jobs/docker-registry-backup" {\n'
        '      capabilities = ["read"]\n'
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_the_files_are_written_to_the_directory_and_removed_in_the_end(monitoring, tmp_path):
    folder = tmp_path / "made" / "here"
    recorder, files = monitoring({"directory": str(folder)})
    written = recorder.inputs(COMMAND)

    subprocess.run(["sh", "-c", written["create"]], input=written["stdin"], text=True, check=True)
    assert sorted(str(file) for file in folder.iterdir()) == files
    assert "docker-registry" in (folder / "prometheus-scrape.yml").read_text()

    subprocess.run(["sh", "-c", written["delete"]], input=written["stdin"], text=True, check=True)
    assert list(folder.iterdir()) == []
    assert written["triggers"] == [str(folder)]
