from components.consul_service import ConsulService, ConsulServiceArgs

DEFAULTS = "consul:index/configEntryServiceDefaults:ConfigEntryServiceDefaults"


def test_every_field_that_consul_fills_in_is_written_so_that_no_preview_shows_a_change(deploy):
    recorder, service = deploy(
        lambda: ConsulService("service", ConsulServiceArgs(service="registry", protocol="tcp")).service
    )

    assert service == "registry"
    assert recorder.inputs(DEFAULTS) == {
        "name": "registry",
        "protocol": "tcp",
        "exposes": [{"checks": False, "paths": []}],
        "meshGateways": [{"mode": ""}],
        "transparentProxies": [{"dialedDirectly": False, "outboundListenerPort": 0}],
    }
