"""The local vault plugin against a real server of Vault's API, driven by the real engine."""

import json

import httpx
import pulumi
import pulumi_vault as vault
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from plugin_harness import Trial
from waiting import until

READ = 'path "secret/data/plugin" {\n  capabilities = ["read"]\n}\n'
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
    .strip()
)
SECRET_ID = "plugin-kv/data/plugin"
IMPORT_IDS = {
    "policy": "plugin-policy",
    "secret": SECRET_ID,
    "backend": "plugin-jwt",
    "role": "auth/plugin-jwt/role/plugin",
}


def access(*, policy=None, secret=None, backend=None, role=None, imports=None, role_name="role"):
    """All four types; a test gives what it wants different."""

    def options(name):
        return pulumi.ResourceOptions(import_=(imports or {}).get(name))

    def program():
        made = vault.Policy(
            "policy", **{"name": "plugin-policy", "policy": READ, **(policy or {})}, opts=options("policy")
        )
        kept = vault.kv.SecretV2(
            "secret",
            **{
                "mount": "plugin-kv",
                "name": "plugin",
                "data_json": json.dumps({"user": "alice", "word": "s3same"}),
                **(secret or {}),
            },
            opts=options("secret"),
        )
        mounted = vault.jwt.AuthBackend(
            "backend",
            **{
                "path": "plugin-jwt",
                "type": "jwt",
                "jwt_validation_pubkeys": [PUBLIC_KEY],
                "default_role": "plugin",
                **(backend or {}),
            },
            opts=options("backend"),
        )
        vault.jwt.AuthBackendRole(
            role_name,
            **{
                "backend": mounted.path,
                "role_name": "plugin",
                "role_type": "jwt",
                "user_claim": "/nomad_job_id",
                "user_claim_json_pointer": True,
                "bound_audiences": ["vault.io", "b.io"],
                "bound_claims": {"nomad_namespace": "default", "nomad_job_id": "a,b"},
                "claim_mappings": {"nomad_job_id": "nomad_job_id"},
                "token_policies": [made.name],
                "token_period": 1800,
                "token_type": "service",
                **(role or {}),
            },
            opts=options(role_name),
        )
        pulumi.export("path", kept.path)
        pulumi.export("accessor", mounted.accessor)

    return program


@pytest.fixture(scope="module")
def api(cluster):
    with httpx.Client(
        base_url=cluster.vault_address, headers={"X-Vault-Token": cluster.vault_token}, timeout=30
    ) as client:
        for path in ("plugin-kv", "plugin-kv-2"):
            client.post(f"/v1/sys/mounts/{path}", json={"type": "kv", "options": {"version": "2"}})
            # Version 2 is an upgrade of version 1 that goes on after the answer.
            until(lambda path=path: client.get(f"/v1/{path}/config").is_success)
        yield client
        for path in ("plugin-kv", "plugin-kv-2"):
            client.delete(f"/v1/sys/mounts/{path}")


@pytest.fixture(scope="module")
def seen(cluster, api, tmp_path_factory):
    """One stack lives through everything; the tests look at what was seen on the way."""

    def data(path):
        answer = api.get(f"/v1/{path}")
        return answer.json()["data"] if answer.status_code == 200 else None

    trial = Trial("plugin-vault", tmp_path_factory.mktemp("vault") / "state", cluster.env)
    seen = {"planned": trial.preview(access()), "created": trial.up(access())}
    seen["outputs"] = trial.outputs()
    seen["stored"] = trial.stored()
    seen["policy"] = data("sys/policies/acl/plugin-policy")
    seen["secret"] = data(SECRET_ID)
    api.post(  # what somebody set by hand; an update writes it again, as it was read
        "/v1/plugin-kv/metadata/plugin", json={"max_versions": 5, "custom_metadata": {"by": "hand"}}
    )
    seen["config"] = data("auth/plugin-jwt/config")
    seen["role"] = data("auth/plugin-jwt/role/plugin")
    same = {"data_json": '{ "word":"s3same", "user" : "alice" }'}
    seen["again"] = trial.preview(
        access(secret=same, role={"bound_audiences": ["b.io", "vault.io"]}), refresh=True
    )

    changed = {
        "policy": {"policy": READ.replace("read", "list")},
        "secret": {"data_json": json.dumps({"user": "bob", "word": "0pen"})},
        "backend": {"bound_issuer": "nomad", "default_role": None, "description": "jobs"},
        "role": {"token_period": None, "bound_audiences": ["vault.io"]},
    }
    seen["updated"] = trial.up(access(**changed), refresh=True)
    seen["new policy"] = data("sys/policies/acl/plugin-policy")
    seen["new secret"] = data(SECRET_ID)
    seen["new metadata"] = data("plugin-kv/metadata/plugin")
    seen["new config"] = data("auth/plugin-jwt/config")
    seen["new role"] = data("auth/plugin-jwt/role/plugin")
    seen["updated again"] = trial.preview(access(**changed), refresh=True)

    api.put("/v1/sys/policies/acl/plugin-policy", json={"policy": "# emptied by hand"})
    api.post("/v1/plugin-kv/data/plugin", json={"data": {"user": "eve"}})
    api.post(
        "/v1/auth/plugin-jwt/config", json={"jwt_validation_pubkeys": [PUBLIC_KEY], "bound_issuer": "eve"}
    )
    api.post(
        "/v1/auth/plugin-jwt/role/plugin", json={"role_type": "jwt", "user_claim": "sub", "token_ttl": 60}
    )
    seen["drift"] = trial.preview(access(**changed), refresh=True)
    api.delete(f"/v1/{SECRET_ID}")  # its latest version only
    seen["deleted"] = trial.preview(access(**changed), refresh=True)

    api.delete("/v1/sys/policies/acl/plugin-policy")
    api.delete("/v1/plugin-kv/metadata/plugin")
    api.delete("/v1/sys/auth/plugin-jwt")
    seen["gone"] = trial.up(access(), refresh=True)
    seen["policy again"] = data("sys/policies/acl/plugin-policy")

    newcomer = Trial("plugin-vault-import", tmp_path_factory.mktemp("vault") / "state", cluster.env)
    seen["import"] = newcomer.up(access(imports=IMPORT_IDS))
    seen["imported"] = newcomer.preview(access())

    moved = {
        "policy": {"name": "plugin-policy-2"},
        "secret": {"mount": "plugin-kv-2"},
        "backend": {"path": "plugin-jwt-2"},
    }
    seen["moved"] = trial.up(access(**moved))
    seen["old secret"], seen["moved secret"] = data(SECRET_ID), data("plugin-kv-2/data/plugin")
    seen["moved role"] = data("auth/plugin-jwt-2/role/plugin")
    seen["moved again"] = trial.preview(access(**moved), refresh=True)
    seen["wrong"] = trial.failure("preview", access(**moved, role={"user_claim": 7, "max_age": "soon"}))

    seen["destroyed"] = trial.destroy()
    seen["after"] = [
        data("sys/policies/acl/plugin-policy-2"),
        data("plugin-kv-2/data/plugin"),
        data("auth/plugin-jwt-2/config"),
    ]
    return seen


def test_preview_tells_what_will_be_created(seen):
    assert set(seen["planned"].operations.values()) == {"create"}
    assert set(seen["planned"].operations) == {"policy", "secret", "backend", "role"}


def test_up_creates_a_policy_a_secret_an_auth_backend_and_a_role(seen):
    assert seen["policy"]["policy"] == READ
    assert seen["secret"]["data"] == {"user": "alice", "word": "s3same"}
    assert (seen["config"]["jwt_validation_pubkeys"], seen["config"]["default_role"]) == (
        [PUBLIC_KEY],
        "plugin",
    )
    assert seen["role"]["bound_claims"] == {"nomad_namespace": ["default"], "nomad_job_id": ["a", "b"]}
    assert (seen["role"]["token_policies"], seen["role"]["token_period"]) == (["plugin-policy"], 1800)
    assert seen["role"]["user_claim_json_pointer"] is True


def test_outputs_name_what_the_server_made(seen):
    assert seen["outputs"]["path"].value == "plugin-kv/data/plugin"
    assert seen["outputs"]["accessor"].value.startswith("auth_jwt_")


def test_no_secret_is_in_the_state_in_clear(seen):
    assert "plugin-kv/data/plugin" in seen["stored"]
    assert "s3same" not in seen["stored"]


def test_a_second_preview_shows_no_change_whatever_the_layout_and_order(seen):
    assert seen["again"].operations == {}


def test_changes_are_updates_in_place(seen):
    assert seen["updated"].operations == dict.fromkeys(("policy", "secret", "backend", "role"), "update")
    assert seen["new policy"]["policy"] == READ.replace("read", "list")
    assert seen["new secret"]["data"] == {"user": "bob", "word": "0pen"}
    assert seen["new secret"]["metadata"]["version"] == 2
    assert seen["new config"]["bound_issuer"] == "nomad"


def test_a_field_taken_out_of_the_program_goes_back_to_its_default(seen):
    assert seen["new config"]["default_role"] == ""
    assert seen["new role"]["token_period"] == 0
    assert seen["updated again"].operations == {}


def test_refresh_sees_changes_made_behind_pulumi(seen):
    assert seen["drift"].operations == dict.fromkeys(("policy", "backend", "role"), "update")
    assert "tokenTtl" in seen["drift"].paths["role"]


def test_contents_of_a_secret_changed_or_deleted_behind_pulumi_are_not_seen(seen):
    assert "secret" not in seen["drift"].operations
    assert "secret" not in seen["deleted"].operations


def test_an_update_of_a_secret_writes_its_metadata_as_they_were_read(seen):
    assert seen["new metadata"]["max_versions"] == 5
    assert seen["new metadata"]["custom_metadata"] == {"by": "hand"}


def test_what_was_deleted_behind_pulumi_is_created_again(seen):
    assert seen["gone"].operations == {
        "policy": "update",  # as with the published plugin
        **dict.fromkeys(("secret", "backend", "role"), "create"),
    }
    assert seen["policy again"]["policy"] == READ


def test_names_and_mounts_replace_but_an_auth_backend_moves(seen):
    assert seen["moved"].operations == {
        "policy": "replace",
        "secret": "replace",
        "backend": "update",
        "role": "replace",
    }
    assert seen["old secret"] is None
    assert seen["moved secret"]["data"]["user"] == "alice"
    assert seen["moved role"]["token_policies"] == ["plugin-policy-2"]
    assert seen["moved again"].operations == {}


def test_wrong_inputs_are_refused_together_with_the_property_named(seen):
    assert "userClaim" in seen["wrong"]
    assert "expected str, got int" in seen["wrong"]
    assert "maxAge" in seen["wrong"]
    assert "expected int, got str" in seen["wrong"]


def test_destroy_deletes_all_of_it(seen):
    assert seen["destroyed"].operations == dict.fromkeys(("policy", "secret", "backend", "role"), "delete")
    assert seen["after"] == [None, None, None]


def test_all_four_are_imported_by_the_ids_that_the_sdk_documents(seen):
    assert seen["imported"].operations == {}


def test_a_secret_is_imported_without_its_contents_which_are_then_written(seen):
    assert seen["import"].operations["secret"] == "update"
    assert seen["import"].paths == {"secret": ["dataJson"]}
