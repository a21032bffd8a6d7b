"""The local vault plugin's log-in and identity types against a real server, driven by the real engine."""

import httpx
import pulumi
import pulumi_vault as vault
import pytest
from plugin_harness import Trial

ALL = ("key", "token", "oidc", "person", "group", "alias", "approle", "machine")
REDIRECT = "http://localhost:8250/oidc/callback"
SECRET = "s3cret-of-the-client"
TEMPLATE = '{"access": [{"type": "repository", "name": "ci/app", "actions": ["pull"]}]}'


def identities(discovery, *, imports=None, **changes):
    """A key and a kind of token; people who log in by OIDC and their group; machines that use AppRole.

    A test gives by a resource's name what it wants different there.
    """

    def made(kind, name, /, **inputs):
        options = pulumi.ResourceOptions(import_=(imports or {}).get(name))
        return kind(name, **{**inputs, **changes.get(name, {})}, opts=options)

    def program():
        key = made(
            vault.identity.OidcKey,
            "key",
            name="plugin",
            algorithm="ES256",
            rotation_period=3600,
            verification_ttl=7200,
            allowed_client_ids=["registry.test", "other.test"],
        )
        token = made(
            vault.identity.OidcRole,
            "token",
            name="plugin-ci",
            key=key.name,
            client_id="registry.test",
            template=TEMPLATE,
            ttl=900,
        )
        oidc = made(
            vault.jwt.AuthBackend,
            "oidc",
            path="plugin-oidc",
            type="oidc",
            oidc_discovery_url=discovery,
            oidc_client_id="plugin",
            oidc_client_secret=SECRET,
            default_role="plugin",
        )
        made(
            vault.jwt.AuthBackendRole,
            "person",
            backend=oidc.path,
            role_name="plugin",
            user_claim="sub",
            groups_claim="groups",
            oidc_scopes=["groups", "profile"],
            allowed_redirect_uris=[REDIRECT, "http://localhost/ui"],
            token_policies=["default"],
            token_ttl=3600,
        )
        group = made(vault.identity.Group, "group", name="plugin", type="external", policies=["b", "a"])
        made(
            vault.identity.GroupAlias,
            "alias",
            name="developers",
            mount_accessor=oidc.accessor,
            canonical_id=group.id,
        )
        approle = made(vault.AuthBackend, "approle", type="approle", path="plugin-approle")
        machine = made(
            vault.approle.AuthBackendRole,
            "machine",
            backend=approle.path,
            role_name="ci",
            token_policies=["b", "a"],
            token_ttl=600,
            secret_id_bound_cidrs=["127.0.0.1/32", "10.0.0.0/8"],
        )
        pulumi.export("clientId", token.client_id)
        pulumi.export("groupId", group.id)
        pulumi.export("roleId", machine.role_id)
        pulumi.export("approlePath", approle.path)

    return program


@pytest.fixture(scope="module")
def api(cluster):
    headers = {"X-Vault-Token": cluster.vault_token}
    with httpx.Client(base_url=f"{cluster.vault_address}/v1", headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def seen(cluster, api, tmp_path_factory):
    """One stack lives through everything; the tests look at what was seen on the way."""
    # The server is an OIDC provider too, so that there is one to discover.
    discovery = f"{cluster.vault_address}/v1/identity/oidc/provider/default"

    def data(path):
        answer = api.get(path)
        return answer.json()["data"] if answer.status_code == 200 else None

    def all_data(group):
        found = {
            "key": data("/identity/oidc/key/plugin"),
            "token": data("/identity/oidc/role/plugin-ci"),
            "oidc": data("/auth/plugin-oidc/config"),
            "person": data("/auth/plugin-oidc/role/plugin"),
            "group": data(f"/identity/group/id/{group}"),
            "machine": data("/auth/plugin-approle/role/ci"),
            "approle": data("/sys/auth/plugin-approle"),
        }
        return {**found, "alias": (found["group"] or {}).get("alias")}

    def program(**changes):
        return identities(discovery, **changes)

    trial = Trial("plugin-identity", tmp_path_factory.mktemp("identity") / "state", cluster.env)
    seen = {"created": trial.up(program()), "stored": trial.stored()}
    outputs = {name: output.value for name, output in trial.outputs().items()}
    seen["outputs"], seen["made"] = outputs, all_data(outputs["groupId"])
    login = {"role_id": outputs["roleId"]}
    login |= api.post("/auth/plugin-approle/role/ci/secret-id").json()["data"]
    seen["login"] = api.post("/auth/plugin-approle/login", json=login).json()["auth"]
    other_order = {
        "group": {"policies": ["a", "b"]},
        "machine": {"token_policies": ["a", "b"]},
        "key": {"allowed_client_ids": ["other.test", "registry.test"]},
    }
    seen["again"] = trial.preview(program(**other_order), refresh=True)
    imports = {
        "key": "plugin",
        "token": "plugin-ci",
        "oidc": "plugin-oidc",
        "person": "auth/plugin-oidc/role/plugin",
        "group": outputs["groupId"],
        "alias": seen["made"]["alias"]["id"],
        "approle": "plugin-approle",
        "machine": "auth/plugin-approle/role/ci",
    }
    newcomer = Trial("plugin-identity-import", tmp_path_factory.mktemp("identity") / "state", cluster.env)
    # The server never tells the secret: one who imports writes it with the next `up`.
    unknown = {"oidc": {"oidc_client_secret": None}}
    newcomer.up(program(imports=imports, **unknown))
    seen["imported"] = newcomer.preview(program(**unknown))
    seen["secret after import"] = newcomer.preview(program())

    changed = {
        "key": {"rotation_period": 1800, "allowed_client_ids": ["*"]},
        "token": {"ttl": 600, "template": TEMPLATE.replace("pull", "push")},
        "oidc": {"oidc_client_secret": "another", "default_role": None, "description": "people"},
        "person": {"groups_claim": None, "token_ttl": 1800},
        "group": {"policies": ["c"], "metadata": {"by": "pulumi"}},
        "alias": {"name": "engineers"},
        "approle": {"description": "machines"},
        "machine": {"token_ttl": None, "bind_secret_id": False, "role_id": "ci-in-clear"},
    }
    seen["updated"], seen["changed"] = trial.up(program(**changed)), all_data(outputs["groupId"])
    seen["new role id"] = trial.outputs()["roleId"].value

    for path, by_hand in {
        "/identity/oidc/key/plugin": {"rotation_period": 1200},
        "/identity/oidc/role/plugin-ci": {"key": "plugin", "ttl": 60},
        f"/identity/group/id/{outputs['groupId']}": {"policies": ["by-hand"]},
        "/auth/plugin-oidc/role/plugin": {"user_claim": "email"},
        "/auth/plugin-approle/role/ci": {"token_policies": ["by-hand"]},
        "/sys/auth/plugin-approle/tune": {"description": "by hand"},
    }.items():
        api.post(path, json=by_hand).raise_for_status()
    seen["drift"] = trial.preview(program(**changed), refresh=True)

    api.delete("/identity/oidc/role/plugin-ci")
    api.delete("/identity/oidc/key/plugin")
    api.delete(f"/identity/group/id/{outputs['groupId']}")
    api.delete("/sys/auth/plugin-oidc")
    api.delete("/sys/auth/plugin-approle")
    seen["gone"] = trial.up(program(), refresh=True)

    replacing = {
        "token": {"name": "plugin-cd"},
        "group": {"type": "internal"},
        "approle": {"local": True},
        "machine": {"role_name": "cd"},
        "key": {"name": "plugin-2"},
    }
    seen["replacing"] = trial.preview(program(**replacing))
    group = trial.outputs()["groupId"].value
    seen["destroyed"], seen["after"] = trial.destroy(), all_data(group)
    return seen


def test_up_makes_all_of_it(seen):
    made = seen["made"]
    assert seen["created"].operations == dict.fromkeys(ALL, "create")
    assert (made["key"]["algorithm"], made["key"]["verification_ttl"]) == ("ES256", 7200)
    assert made["token"] == {"client_id": "registry.test", "key": "plugin", "template": TEMPLATE, "ttl": 900}
    assert (made["oidc"]["oidc_client_id"], made["oidc"]["default_role"]) == ("plugin", "plugin")
    assert (made["person"]["role_type"], made["person"]["groups_claim"]) == ("oidc", "groups")
    assert sorted(made["person"]["oidc_scopes"]) == ["groups", "profile"]
    assert (made["group"]["type"], sorted(made["group"]["policies"])) == ("external", ["a", "b"])
    assert made["alias"]["name"] == "developers"
    assert made["machine"]["token_ttl"] == 600


def test_outputs_name_what_the_server_made(seen):
    assert seen["outputs"]["clientId"] == "registry.test"
    assert seen["outputs"]["approlePath"] == "plugin-approle"
    assert seen["login"]["policies"] == ["a", "b", "default"]


def test_the_client_secret_is_not_in_the_state_in_clear(seen):
    assert "oidcClientSecret" in seen["stored"]
    assert SECRET not in seen["stored"]


def test_a_second_preview_shows_no_change_whatever_the_order_in_a_set(seen):
    assert seen["again"].operations == {}


def test_all_are_imported_by_the_ids_that_the_sdk_documents(seen):
    assert seen["imported"].operations == {}


def test_the_client_secret_is_written_after_an_import_since_the_server_never_tells_it(seen):
    assert seen["secret after import"].paths == {"oidc": ["oidcClientSecret"]}


def test_changes_are_updates_in_place(seen):
    changed = seen["changed"]
    assert seen["updated"].operations == dict.fromkeys(ALL, "update")
    assert (changed["key"]["rotation_period"], changed["key"]["allowed_client_ids"]) == (1800, ["*"])
    assert (changed["token"]["ttl"], changed["token"]["client_id"]) == (600, "registry.test")
    assert (changed["group"]["policies"], changed["group"]["metadata"]) == (["c"], {"by": "pulumi"})
    assert changed["alias"]["name"] == "engineers"
    assert changed["approle"]["description"] == "machines"
    assert changed["machine"]["bind_secret_id"] is False
    assert seen["new role id"] == "ci-in-clear"


def test_a_field_taken_out_of_the_program_goes_back_to_its_default(seen):
    assert seen["changed"]["oidc"]["default_role"] == ""
    assert seen["changed"]["person"]["groups_claim"] == ""
    assert seen["changed"]["machine"]["token_ttl"] == 0


def test_refresh_sees_changes_made_behind_pulumi(seen):
    assert seen["drift"].paths == {
        "key": ["rotationPeriod"],
        "token": ["ttl"],
        "person": ["userClaim"],
        "group": ["policies[0]"],
        "approle": ["description"],
        "machine": ["tokenPolicies[0]", "tokenPolicies[1]"],
    }


def test_what_was_deleted_behind_pulumi_is_made_again(seen):
    assert seen["gone"].operations == dict.fromkeys(ALL, "create")


def test_names_and_kinds_replace(seen):
    replaced = dict.fromkeys(("key", "token", "group", "approle", "machine"), "replace")
    assert seen["replacing"].operations == {**replaced, "alias": "update"}


def test_destroy_deletes_all_of_it(seen):
    assert seen["destroyed"].operations == dict.fromkeys(ALL, "delete")
    assert {name for name, left in seen["after"].items() if left} == set()
