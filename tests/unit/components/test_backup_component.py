import json

import pytest

from components.backup import Backup, BackupArgs, policy_text

POLICY, JOB = "vault:index/policy:Policy", "nomad:index/job:Job"
ROLE, ACL = "vault:jwt/authBackendRole:AuthBackendRole", "nomad:index/aclPolicy:AclPolicy"
COMMAND = "command:local:Command"
SECRET = "vault:kv/secretV2:SecretV2"
KINDS = ("backup", "drill", "snapshots", "restore")
BUCKET = {
    "endpoint": "https://s3.homelab.local",
    "bucket": "backups",
    "accessKey": "the-access-key",
    "secretKey": "the-secret-key",
}


@pytest.fixture
def backup(deploy, read_settings):
    def make(identity="policies", nomad_acl=False, **sections):
        settings = read_settings(vault={"identity": identity}, **{"maintenance": {"backup": {}}, **sections})
        args = BackupArgs(
            settings=settings, volume_source="registry_data", login_backend="jwt-nomad", nomad_acl=nomad_acl
        )
        return deploy(lambda: Backup("backup", args).secret_path)

    return make


def jobspec(recorder, kind):
    return json.loads(recorder.inputs(JOB, f"backup-{kind}")["jobspec"])


def tasks(recorder, kind):
    return jobspec(recorder, kind)["TaskGroups"][0]["Tasks"]


def test_there_is_a_job_for_each_use(backup):
    recorder, _ = backup()

    assert recorder.types().count(JOB) == len(KINDS)
    for kind in KINDS:
        assert jobspec(recorder, kind)["ID"] == f"docker-registry-{kind}"
        assert recorder.inputs(JOB, f"backup-{kind}")["purgeOnDestroy"] is True


def test_only_the_job_that_backs_up_may_make_the_password_and_none_may_change_it(backup):
    recorder, path = backup()
    makes, reads = (recorder.inputs(POLICY, f"backup-{title}") for title in ("policy", "reader-policy"))

    assert path == "secret/data/docker-registry/backup"
    assert makes["name"] == "docker-registry-backup"
    assert makes["policy"] == f'path "{path}" {{\n  capabilities = ["create", "read"]\n}}'
    assert reads["name"] == "docker-registry-snapshots"
    assert reads["policy"] == f'path "{path}" {{\n  capabilities = ["read"]\n}}'
    assert not any("SecretV2" in each for each in recorder.types()), "destroy would take the password along"
    for kind in KINDS:
        policies = [task.get("Vault", {}).get("Policies") for task in tasks(recorder, kind)]
        expected = makes["name"] if kind == "backup" else reads["name"]
        # The freeze has the same one: it is not to begin before Vault gives it out.
        assert {tuple(each) for each in policies if each} == {(expected,)}


def test_with_workload_identity_each_job_logs_in_by_a_role_bound_to_it(backup):
    recorder, _ = backup("workload")

    for kind in KINDS:
        role = recorder.inputs(ROLE, f"backup-{kind}-role")
        assert role["boundClaims"]["nomad_job_id"] == f"docker-registry-{kind}"
        expected = "backup" if kind == "backup" else "snapshots"
        assert role["tokenPolicies"] == [f"docker-registry-{expected}"]


def test_the_keys_of_a_bucket_are_in_vault_alone_where_all_the_jobs_may_read_them(backup):
    recorder, path = backup(maintenance={"backup": {"s3": BUCKET}})
    keys = "secret/data/docker-registry/backup-s3"

    assert json.loads(recorder.secret(SECRET, "backup-bucket-keys", "dataJson")) == {
        "access_key": "the-access-key",
        "secret_key": "the-secret-key",
    }
    made = recorder.inputs(SECRET, "backup-bucket-keys")
    assert (made["mount"], made["name"]) == ("secret", "docker-registry/backup-s3")
    for title, rights in (("policy", ["create", "read"]), ("reader-policy", ["read"])):
        assert recorder.inputs(POLICY, f"backup-{title}")["policy"] == policy_text(path, rights, keys)
    for kind in KINDS:
        text = recorder.inputs(JOB, f"backup-{kind}")["jobspec"]
        assert keys in text
        assert "the-access-key" not in text
        assert "the-secret-key" not in text


def test_backups_to_a_bucket_wait_for_no_volume(read_settings):
    settings = read_settings(maintenance={"backup": {"s3": BUCKET}})

    args = BackupArgs.of(settings, volume_source="x", login_backend="jwt-nomad", nomad_acl=False)
    assert args.before_deploy == []


def test_without_acls_there_is_no_acl_policy(backup):
    assert ACL not in backup()[0].types()


def test_on_nomad_with_acls_only_the_jobs_that_freeze_may_do_it(backup):
    recorder, _ = backup(nomad_acl=True)

    bound = sorted(each.inputs["jobAcl"]["jobId"] for each in recorder.resources if each.typ == ACL)
    assert bound == ["docker-registry-backup", "docker-registry-restore"]


def test_another_stack_shares_nothing(backup):
    recorder, _ = backup(registry={"name": "staging"})

    for title, name in (("policy", "staging-backup"), ("reader-policy", "staging-snapshots")):
        made = recorder.inputs(POLICY, f"backup-{title}")
        assert made["name"] == name
        assert "secret/data/staging/backup" in made["policy"]


def test_the_drills_check_goes_with_the_drill(backup):
    made = backup()[0].inputs(COMMAND)

    assert made["create"] == ":"
    assert made["environment"] == {"CONSUL": "http://127.0.0.1:8500", "CHECK": "registry-drill"}
