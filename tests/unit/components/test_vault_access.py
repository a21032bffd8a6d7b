import json

from components.vault_access import VaultAccess, VaultAccessArgs, policy_text
from config.sections.vault import Vault
from jobs.registry import VaultGrant

SECRET, POLICY = "vault:kv/secretV2:SecretV2", "vault:index/policy:Policy"
BACKEND, ROLE = "vault:jwt/authBackend:AuthBackend", "vault:jwt/authBackendRole:AuthBackendRole"


def args(vault, **changes):
    values = {
        "name": "docker-registry",
        "vault": Vault.model_validate_json(json.dumps(vault)),
        "users": {"bob": "$2b$bob", "alice": "$2b$alice"},
        "config_secrets": {},
        "namespace": "default",
        "jwks_url": "http://nomad:4646/.well-known/jwks.json",
    }
    return VaultAccessArgs(**{**values, **changes})


def test_with_policies_the_job_gets_a_policy_that_reads_exactly_its_secrets(deploy):
    recorder, grant = deploy(lambda: VaultAccess("access", args({"identity": "policies"})).grant)

    paths = {key: f"secret/data/docker-registry/{key}" for key in ("http", "users")}
    assert grant == VaultGrant(policy="docker-registry", role=None, paths=paths)
    assert recorder.inputs(POLICY)["policy"] == (
        'path "secret/data/docker-registry/http" {\n  capabilities = ["read"]\n}\n'
        'path "secret/data/docker-registry/users" {\n  capabilities = ["read"]\n}'
    )
    assert ROLE not in recorder.types()


def test_users_and_http_secret_are_stored_and_leave_nothing_behind_on_destroy(deploy):
    recorder, _ = deploy(lambda: VaultAccess("access", args({"identity": "policies"})).grant)

    users, http = recorder.inputs(SECRET, "access-users"), recorder.inputs(SECRET, "access-http")
    assert json.loads(recorder.secret(SECRET, "access-users", "dataJson")) == {
        "htpasswd": "alice:$2b$alice\nbob:$2b$bob\n"
    }
    assert json.loads(recorder.secret(SECRET, "access-http", "dataJson")) == {"secret": "f00d"}
    assert users["deleteAllVersions"] is True and http["deleteAllVersions"] is True


def test_making_http_secret_writes_nothing_into_the_log(deploy):
    recorder, _ = deploy(lambda: VaultAccess("access", args({})).grant)

    assert recorder.inputs("command:local:Command")["logging"] == "none"


def test_secrets_of_registry_config_go_to_vault_too(deploy):
    given = args({}, config_secrets={"redis.password": "hunter2"})
    recorder, grant = deploy(lambda: VaultAccess("access", given).grant)

    assert grant.paths["config"] == "secret/data/docker-registry/config"
    assert json.loads(recorder.secret(SECRET, "access-config", "dataJson")) == {"redis.password": "hunter2"}
    assert "docker-registry/config" in recorder.inputs(POLICY)["policy"]


def test_with_workload_the_role_is_bound_to_the_job_its_namespace_and_an_audience(deploy):
    recorder, grant = deploy(lambda: VaultAccess("access", args({"identity": "workload"})).grant)

    assert grant.role == "docker-registry"
    assert recorder.inputs(ROLE) == {
        "backend": "jwt-nomad",
        "roleName": "docker-registry",
        "roleType": "jwt",
        "boundAudiences": ["vault.io"],
        "boundClaims": {"nomad_namespace": "default", "nomad_job_id": "docker-registry"},
        "userClaim": "/nomad_job_id",
        "userClaimJsonPointer": True,
        "claimMappings": {
            "nomad_namespace": "nomad_namespace",
            "nomad_job_id": "nomad_job_id",
            "nomad_task": "nomad_task",
        },
        "tokenType": "service",
        "tokenPeriod": 1800,
        "tokenPolicies": ["docker-registry"],
    }
    assert BACKEND not in recorder.types(), "an existing backend is used by default"


def test_the_jwt_backend_is_created_on_demand_with_nomads_keys(deploy):
    vault = {"identity": "workload", "workload": {"backend": "jwt-homelab", "createBackend": True}}
    recorder, _ = deploy(lambda: VaultAccess("access", args(vault)).grant)

    backend = recorder.inputs(BACKEND)
    assert backend["path"] == "jwt-homelab"
    assert backend["jwksUrl"] == "http://nomad:4646/.well-known/jwks.json"
    assert recorder.inputs(ROLE)["backend"] == "jwt-homelab"


def test_without_users_there_is_no_secret_for_them(deploy):
    recorder, grant = deploy(lambda: VaultAccess("access", args({}, users=None)).grant)

    assert "users" not in grant.paths
    assert "users" not in recorder.inputs(POLICY)["policy"]


def test_the_job_may_have_a_certificate_issued_and_read_the_keys_of_tokens(deploy):
    given = args(
        {},
        users=None,
        jwks_path="secret/data/docker-registry/jwks",
        issue_path="docker-registry-pki/issue/web",
    )
    recorder, grant = deploy(lambda: VaultAccess("access", given).grant)

    assert grant.issue_path == "docker-registry-pki/issue/web"
    assert recorder.inputs(POLICY)["policy"] == (
        'path "secret/data/docker-registry/http" {\n  capabilities = ["read"]\n}\n'
        'path "secret/data/docker-registry/jwks" {\n  capabilities = ["read"]\n}\n'
        'path "docker-registry-pki/issue/web" {\n  capabilities = ["update"]\n}'
    )


def test_a_policy_names_each_secret_and_only_reads():
    text = policy_text(["kv/home/data/x/users"], None)

    assert text == 'path "kv/home/data/x/users" {\n  capabilities = ["read"]\n}'
