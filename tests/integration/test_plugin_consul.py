"""The local consul plugin against a real Consul, driven by the real engine."""

import re

import httpx
import pulumi
import pulumi_consul as consul
import pytest
from plugin_harness import Trial

KEPT = {  # the three blocks that the published plugin needs written, or it always sees a change
    "exposes": [{"checks": False, "paths": []}],
    "mesh_gateways": [{"mode": ""}],
    "transparent_proxies": [{"dialed_directly": False, "outbound_listener_port": 0}],
}


def defaults(resource="web", import_=None, **properties):
    def program():
        consul.ConfigEntryServiceDefaults(
            resource,
            **{"name": "plugin-web", "protocol": "tcp", **KEPT, **properties},
            opts=pulumi.ResourceOptions(import_=import_),
        )

    return program


@pytest.fixture(scope="module")
def entry(cluster):
    """The entry as Consul has it, or None."""

    def read(name="plugin-web"):
        answer = httpx.get(f"{cluster.consul_address}/v1/config/service-defaults/{name}")
        return answer.json() if answer.status_code == 200 else None

    return read


@pytest.fixture(scope="module")
def seen(cluster, entry, tmp_path_factory):
    """One stack lives through everything; the tests look at what was seen on the way."""
    trial = Trial("plugin-consul", tmp_path_factory.mktemp("consul") / "state", cluster.env)
    seen = {"created": trial.up(defaults()), "entry": entry()}
    seen["again"] = trial.preview(defaults(), refresh=True)
    seen["incomplete"] = trial.preview(defaults(mesh_gateways=None))
    seen["updated"], seen["new entry"] = trial.up(defaults(protocol="http", meta={"by": "pulumi"})), entry()
    changed = {"Kind": "service-defaults", "Name": "plugin-web", "Protocol": "grpc"}
    httpx.put(f"{cluster.consul_address}/v1/config", json=changed).raise_for_status()
    seen["drift"] = trial.preview(defaults(protocol="http", meta={"by": "pulumi"}), refresh=True)
    httpx.delete(f"{cluster.consul_address}/v1/config/service-defaults/plugin-web").raise_for_status()
    seen["gone"] = trial.up(defaults(), refresh=True)
    seen["renamed"] = trial.up(defaults(name="plugin-api"))
    seen["old"], seen["new"] = entry(), entry("plugin-api")
    seen["wrong"] = trial.failure("preview", defaults(partition="team"))
    seen["in a namespace"] = trial.preview(defaults(namespace="team"))
    seen["refused"] = trial.failure("up", defaults(resource="team", name="plugin-team", namespace="team"))
    trial.up(defaults(name="plugin-api"))
    seen["destroyed"], seen["after"] = trial.destroy(), entry("plugin-api")
    httpx.put(f"{cluster.consul_address}/v1/config", json=changed).raise_for_status()
    trial.up(defaults(protocol="grpc", import_="plugin-web"))
    seen["imported"] = trial.preview(defaults(protocol="grpc"))
    trial.up(defaults(resource="auto", name=None))
    seen["named"] = [
        one["inputs"]["name"] for one in trial.state().values() if one["type"].startswith("consul")
    ]
    trial.destroy()
    return seen


SOURCES = [  # as Consul keeps them: highest precedence first
    {"name": "traefik", "action": "allow", "type": "consul", "precedence": 9},
    {"name": "*", "action": "deny", "type": "consul", "precedence": 8},
]


def intentions(sources=SOURCES, import_=None, **properties):
    def program():
        consul.ConfigEntryServiceIntentions(
            "who",
            **{"name": "plugin-web", "sources": sources, **properties},
            opts=pulumi.ResourceOptions(import_=import_),
        )

    return program


@pytest.fixture(scope="module")
def allowed(cluster, tmp_path_factory):
    """The same for intentions."""
    address = f"{cluster.consul_address}/v1/config"

    def entry(name="plugin-web"):
        answer = httpx.get(f"{address}/service-intentions/{name}")
        return answer.json() if answer.status_code == 200 else None

    def may(source):
        answer = httpx.get(
            f"{cluster.consul_address}/v1/connect/intentions/check",
            params={"source": source, "destination": "plugin-web"},
        )
        return answer.json()["Allowed"]

    trial = Trial("plugin-intentions", tmp_path_factory.mktemp("intentions") / "state", cluster.env)
    seen = {"created": trial.up(intentions()), "may": {name: may(name) for name in ("traefik", "job")}}
    seen["again"] = trial.preview(intentions(), refresh=True)
    unwritten = [{key: value for key, value in one.items() if key != "precedence"} for one in SOURCES]
    seen["unwritten"] = trial.preview(intentions(unwritten))
    seen["no type"] = trial.preview(
        intentions([{key: value for key, value in one.items() if key != "type"} for one in SOURCES])
    )
    seen["other order"] = trial.preview(intentions(SOURCES[::-1]))
    more = [{**SOURCES[0], "name": "job"}, *SOURCES]
    seen["updated"], seen["may now"] = trial.up(intentions(more, meta={"by": "pulumi"})), may("job")
    changed = {
        "Kind": "service-intentions",
        "Name": "plugin-web",
        "Sources": [{"Name": "*", "Action": "allow"}],
    }
    httpx.put(address, json=changed).raise_for_status()
    seen["drift"] = trial.preview(intentions(more, meta={"by": "pulumi"}), refresh=True)
    httpx.delete(f"{address}/service-intentions/plugin-web").raise_for_status()
    seen["gone"] = trial.up(intentions(), refresh=True)
    newcomer = Trial("plugin-intentions-import", tmp_path_factory.mktemp("import") / "state", cluster.env)
    newcomer.up(intentions(import_="plugin-web"))
    seen["imported"] = newcomer.preview(intentions())
    seen["renamed"] = trial.up(intentions(name="plugin-api"))
    seen["old"], seen["new"] = entry(), entry("plugin-api")
    seen["wrong"] = trial.failure("preview", intentions([{"name": "web", "permissions": []}]))
    seen["peer"] = trial.preview(intentions([{**SOURCES[0], "peer": "east"}]))
    seen["destroyed"], seen["after"] = trial.destroy(), entry("plugin-api")
    return seen


def test_up_writes_the_entry(seen):
    assert seen["created"].operations == {"web": "create"}
    assert (seen["entry"]["Protocol"], seen["entry"]["Name"]) == ("tcp", "plugin-web")


def test_a_second_preview_shows_no_change(seen):
    assert seen["again"].operations == {}


def test_a_block_left_out_is_a_change_as_with_the_published_plugin(seen):
    assert seen["incomplete"].paths == {"web": ["meshGateways"]}


def test_a_changed_protocol_updates_the_entry(seen):
    assert seen["updated"].operations == {"web": "update"}
    assert seen["updated"].paths == {"web": ["meta.by", "protocol"]}
    assert (seen["new entry"]["Protocol"], seen["new entry"]["Meta"]) == ("http", {"by": "pulumi"})


def test_refresh_sees_a_change_made_behind_pulumi(seen):
    assert seen["drift"].paths == {"web": ["meta.by", "protocol"]}


def test_an_entry_deleted_behind_pulumi_is_created_again(seen):
    assert seen["gone"].operations == {"web": "create"}


def test_another_name_replaces_the_entry(seen):
    assert seen["renamed"].operations == {"web": "replace"}
    assert seen["old"] is None
    assert seen["new"]["Protocol"] == "tcp"


def test_an_input_that_the_stand_in_lacks_is_refused(seen):
    assert "does not implement it" in seen["wrong"]
    assert "partition" in seen["wrong"]


def test_a_namespace_is_taken_at_preview_and_refused_by_a_consul_without_any(seen):
    assert "web" in seen["in a namespace"].operations
    assert "Namespaces are a Consul Enterprise feature" in seen["refused"]


def test_an_error_comes_in_the_log_with_its_place_in_the_published_plugin_and_again_as_the_result(seen):
    assert "sdk-v2/provider2.go:" in seen["refused"]
    assert re.search(r"sdk\.helper_schema: Consul: .*: provider=consul@\d", seen["refused"])
    assert re.search(r"1 error occurred:\s+\* Consul: ", seen["refused"])


def test_destroy_deletes_the_entry(seen):
    assert seen["destroyed"].operations == {"web": "delete"}
    assert seen["after"] is None


def test_an_entry_is_imported_by_its_name(seen):
    assert seen["imported"].operations == {}


def test_an_entry_without_a_name_is_named_after_its_resource(seen):
    assert len(seen["named"]) == 1
    assert seen["named"][0].startswith("auto-")


def test_intentions_allow_who_is_named_and_nobody_else(allowed):
    assert allowed["created"].operations == {"who": "create"}
    assert allowed["may"] == {"traefik": True, "job": False}


def test_a_second_preview_of_intentions_shows_no_change(allowed):
    assert allowed["again"].operations == {}
    assert allowed["no type"].operations == {}


def test_intentions_without_precedence_or_in_another_order_are_a_change_as_with_the_published_plugin(allowed):
    assert allowed["unwritten"].paths == {"who": ["sources[0].precedence", "sources[1].precedence"]}
    assert allowed["other order"].operations == {"who": "update"}


def test_intentions_are_updated_in_place(allowed):
    assert allowed["updated"].operations == {"who": "update"}
    assert allowed["may now"]


def test_refresh_sees_intentions_changed_or_deleted_behind_pulumi(allowed):
    assert allowed["drift"].operations == {"who": "update"}
    assert allowed["gone"].operations == {"who": "create"}


def test_intentions_are_imported_by_the_name_of_the_service(allowed):
    assert allowed["imported"].operations == {}


def test_another_service_replaces_the_intentions(allowed):
    assert allowed["renamed"].operations == {"who": "replace"}
    assert allowed["old"] is None
    assert [source["Name"] for source in allowed["new"]["Sources"]] == ["traefik", "*"]


def test_a_field_of_a_source_that_the_stand_in_lacks_is_refused(allowed):
    assert "sources[0].permissions" in allowed["wrong"]
    assert "who" in allowed["peer"].operations


def test_destroy_deletes_the_intentions(allowed):
    assert allowed["destroyed"].operations == {"who": "delete"}
    assert allowed["after"] is None
