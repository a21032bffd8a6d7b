"""What every local plugin does alike, without an engine."""

import asyncio

import pytest
from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue

from devcluster.plugins.consul import Consul
from devcluster.plugins.errors import PluginError
from devcluster.plugins.nomad import Nomad
from devcluster.plugins.serve import Engine
from devcluster.plugins.values import UNKNOWN, differences, has_unknown, plain, secret_keys, wrapped
from devcluster.plugins.vault import Vault

POLICY = "urn:pulumi:dev::registry::vault:index/policy:Policy::reader"
SECRET = "urn:pulumi:dev::registry::vault:kv/secretV2:SecretV2::http"
ROLE = "urn:pulumi:dev::registry::vault:jwt/authBackendRole:AuthBackendRole::role"


@pytest.fixture
def run(monkeypatch):
    """Run something with a configured vault plugin; no server is asked."""
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "NOMAD_ADDR", "CONSUL_HTTP_ADDR"):
        monkeypatch.delenv(name, raising=False)

    def run(step, kind=Vault, **settings):
        async def scenario():
            plugin = kind(Engine("127.0.0.1:1"))
            await plugin.configure(protocol.ConfigureRequest({}, wrapped(settings, set()), True, True))
            return await step(plugin)

        return asyncio.run(scenario())

    return run


def check(urn, **inputs):
    request = protocol.CheckRequest(urn, {}, wrapped(inputs, set()), b"seed")
    return lambda plugin: plugin.check(request)


def reasons(response):
    return {failure.property: failure.reason for failure in response.failures}


def test_a_missing_input_is_named(run):
    assert reasons(run(check(POLICY))) == {"policy": "missing required input 'policy'"}


def test_an_unknown_input_is_refused_with_the_nearest_name(run):
    found = reasons(run(check(POLICY, policy="", nmae="x")))
    assert "did you mean 'name'?" in found["nmae"]


def test_an_input_of_the_wrong_type_is_refused(run):
    assert reasons(run(check(POLICY, policy=["read"]))) == {"policy": "expected str, got list"}


def test_a_value_that_is_not_known_yet_passes(run):
    assert reasons(run(check(POLICY, policy=UNKNOWN))) == {}


def test_a_resource_without_a_name_gets_the_same_one_at_preview_and_up(run):
    first, second = (plain(run(check(POLICY, policy="")).inputs)["name"] for _ in range(2))
    assert first == second
    assert first.startswith("reader-")


def test_defaults_are_those_of_the_published_plugin(run):
    filled = plain(run(check(ROLE, roleName="registry", userClaim="sub")).inputs)
    assert (filled["backend"], filled["roleType"]) == ("jwt", "oidc")


def test_a_type_that_the_stand_in_lacks_is_named_with_the_way_out(run):
    with pytest.raises(PluginError, match=r"no vault:index/token:Token, only .*published one"):
        run(check("urn:pulumi:dev::registry::vault:index/token:Token::ci"))


def test_a_resource_inside_a_component_is_known_by_its_own_type(run):
    inside = "urn:pulumi:dev::registry::homelab:registry:VaultAccess$vault:index/policy:Policy::reader"
    assert reasons(run(check(inside, policy=""))) == {}


def test_a_preview_passes_inputs_through_and_leaves_the_servers_outputs_unknown(run):
    inputs = wrapped({"mount": "secret", "name": "http", "dataJson": UNKNOWN}, set())
    request = protocol.CreateRequest(SECRET, inputs, 0, preview=True)
    outputs = run(lambda plugin: plugin.create(request)).properties
    assert plain(outputs)["mount"] == "secret"
    assert plain(outputs)["metadata"] == UNKNOWN
    assert outputs["dataJson"].is_secret


def test_the_preview_of_an_update_keeps_what_the_server_filled_in(run):
    role = "urn:pulumi:dev::registry::vault:appRole/authBackendRole:AuthBackendRole::ci"
    news = wrapped({"backend": "approle", "roleName": "ci", "tokenTtl": 60}, set())
    olds = {**news, **wrapped({"roleId": "7", "tokenTtl": 30}, set())}
    request = protocol.UpdateRequest(role, "id", olds, news, 0, [], preview=True)
    outputs = plain(run(lambda plugin: plugin.update(request)).properties)
    assert (outputs["roleId"], outputs["tokenTtl"]) == ("7", 60)


def test_a_changed_mount_replaces_and_the_old_secret_goes_first(run):
    old = wrapped({"mount": "secret", "name": "http", "dataJson": "{}"}, set())
    new = wrapped({"mount": "kv", "name": "http", "dataJson": "{ }"}, set())
    answer = run(lambda plugin: plugin.diff(protocol.DiffRequest(SECRET, "id", old, new, [])))
    assert (answer.changes, answer.replaces, answer.delete_before_replace) == (True, ["mount"], True)
    assert answer.detailed_diff["mount"].kind is protocol.PropertyDiffKind.UPDATE_REPLACE


@pytest.mark.parametrize(
    ("kind", "missing"), [(Nomad, ["address"]), (Consul, ["address"]), (Vault, ["address", "token"])]
)
def test_a_missing_provider_setting_is_named_with_the_command_that_sets_it(run, kind, missing):
    request = protocol.CheckRequest("urn", {}, {}, b"")
    found = reasons(run(lambda plugin: plugin.check_config(request), kind))
    assert list(found) == missing
    assert f"pulumi config set {kind.name}:address" in found["address"]


def test_a_provider_setting_that_would_be_ignored_is_refused(run):
    request = protocol.CheckRequest(
        "urn", {}, wrapped({"address": "a", "token": "t", "tokn": "x"}, set()), b""
    )
    found = reasons(run(lambda plugin: plugin.check_config(request)))
    assert "did you mean 'token'?" in found["tokn"]


def test_a_provider_setting_may_come_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("NOMAD_ADDR", "http://nas:4646")
    request = protocol.CheckRequest("urn", {}, {}, b"")
    assert reasons(run(lambda plugin: plugin.check_config(request), Nomad)) == {}


def test_property_values_become_plain_data_and_back():
    values = {"a": [1, {"b": 2.5}], "c": "text", "d": True, "e": None}
    there = wrapped(values, {"a"})
    assert there["a"].is_secret
    assert plain(there) == {"a": [1, {"b": 2.5}], "c": "text", "d": True}


def test_a_secret_deep_inside_marks_its_top_level_key():
    inside = PropertyValue({"password": PropertyValue("x", is_secret=True)})
    assert secret_keys({"connection": inside, "host": PropertyValue("nas")}) == {"connection"}


def test_an_unknown_value_is_found_at_any_depth():
    assert has_unknown({"a": [{"b": UNKNOWN}]})
    assert not has_unknown({"a": [{"b": "known"}]})


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("p.a[1]", "UPDATE"), ("p.a[2]", "ADD")]),
        ({"a b": 1}, {}, [('p["a b"]', "DELETE")]),
        (None, "x", [("p", "ADD")]),
    ],
)
def test_differences_are_told_by_property_path(old, new, paths):
    assert [(path, kind.name) for path, kind in differences("p", old, new)] == paths
