from components.consul_service import ConsulService, ConsulServiceArgs

DEFAULTS = "consul:index/configEntryServiceDefaults:ConfigEntryServiceDefaults"


def test_every_field_that_consul_fills_in_is_written_so_that_no_preview_shows_a_change(deploy, read_settings):
    recorder, service = deploy(
        lambda: ConsulService("service", ConsulServiceArgs.of(read_settings())).service
    )

    assert service == "registry"
    assert recorder.inputs(DEFAULTS) == {
        "name": "registry",
        "protocol": "tcp",
        "exposes": [{"checks": False, "paths": []}],
        "meshGateways": [{"mode": ""}],
        "transparentProxies": [{"dialedDirectly": False, "outboundListenerPort": 0}],
    }


def test_in_a_mesh_only_the_named_services_reach_the_registry(deploy, read_settings):
    settings = read_settings(access={"allowedServices": ["traefik", "ci"]})
    recorder, _ = deploy(lambda: ConsulService("service", ConsulServiceArgs.of(settings)).service)

    intentions = recorder.inputs("consul:index/configEntryServiceIntentions:ConfigEntryServiceIntentions")
    assert intentions["name"] == "registry"
    assert [(each["name"], each["action"]) for each in intentions["sources"]] == [
        ("ci", "allow"),
        ("traefik", "allow"),
        ("*", "deny"),
    ]
