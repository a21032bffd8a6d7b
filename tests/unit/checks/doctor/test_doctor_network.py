import copy
import socket

import httpx
import pytest
import trustme

from checks.doctor import network
from checks.doctor.machine import port_free
from checks.doctor.network import name_leads_there, name_resolves, port_reachable, traefik_routes
from jobs.registry import route_tags

SERVICE = "/v1/health/service/registry"
HOSTNAME = "registry.homelab.local"


@pytest.fixture
def resolves(monkeypatch):
    """Let the registry's name resolve to these addresses."""

    def to(*addresses):
        def answer(host, port, *_, **__):
            found = addresses if host == HOSTNAME else (host,)
            if not found:
                raise socket.gaierror(-2, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in found]

        monkeypatch.setattr("checks.doctor.facts.socket.getaddrinfo", answer)

    return to


@pytest.fixture
def opened(monkeypatch):
    """Let only these addresses and ports be open."""

    def only(*pairs):
        monkeypatch.setattr(network, "is_open", lambda address, port: (address, port) in pairs)

    return only


@pytest.fixture
def service_at(well):
    def make(address, tags=()):
        answer = copy.deepcopy(well[SERVICE])
        answer["body"][0]["Service"].update(Address=address, Tags=list(tags))
        return {SERVICE: answer}

    return make


def test_a_name_that_resolves_is_told_with_its_addresses(look, resolves):
    resolves("192.168.1.5")

    assert look(name_resolves).what == f"{HOSTNAME} is 192.168.1.5"


def test_a_name_that_does_not_resolve_gets_a_line_in_the_hosts_file(look, resolves, service_at):
    resolves()

    found = look(name_resolves, service_at("192.168.1.5"))

    assert (found.state, found.fix) == ("failure", f"echo '192.168.1.5 {HOSTNAME}' >> /etc/hosts")
    assert look(name_leads_there).state == look(port_reachable).state == "not looked at"


def test_a_name_that_leads_to_a_machine_without_traefik_is_led_to_the_one_that_has_it(
    look, resolves, opened, service_at
):
    resolves("192.168.1.66")
    opened(("192.168.1.5", 443))

    found = look(name_leads_there, service_at("192.168.1.5"))

    assert found.what == f"nothing listens on port 443 of 192.168.1.66, which is {HOSTNAME} here"
    assert found.fix == (
        f"others=$(grep -vwF {HOSTNAME} /etc/hosts); "
        f"printf '%s\\n' \"$others\" '192.168.1.5 {HOSTNAME}' > /etc/hosts"
    )


def test_a_traefik_that_is_down_is_to_be_started(look, resolves, opened, service_at):
    resolves("192.168.1.5")
    opened()

    found = look(name_leads_there, service_at("192.168.1.5"))

    assert found.fix.startswith("systemctl start traefik")


def test_a_port_that_is_closed_under_the_name_is_a_warning_unless_the_stack_says_so(look, resolves, opened):
    resolves("192.168.1.5")
    opened(("192.168.1.5", 443))

    found = look(port_reachable)

    assert found.state == "warning"
    assert found.fix.startswith(f"docker login {HOSTNAME}   #")
    bound = look(port_reachable, sections={"access": {"bind": "127.0.0.1"}})
    assert bound.state == "ok"
    opened(("192.168.1.5", 5000))
    assert look(port_reachable).state == "ok"


@pytest.fixture
def traefik(web_server, resolves, look):
    """What the check finds if Traefik gives this answer."""
    resolves("127.0.0.1")
    certificate = trustme.CA().issue_cert(HOSTNAME)

    def run(code, headers=None, answers=None, **sections):
        server = web_server(body="", code=code, headers=headers, certificate=certificate)
        tls = {"tls": {"port": server.port}}
        return look(traefik_routes, answers, sections={**tls, **sections})

    return run


def test_an_answer_of_the_registry_through_traefik_is_ok(traefik):
    assert traefik(401, {"X-Registry-Mode": "read-write"}).state == "ok"
    assert traefik(401, {"Docker-Distribution-Api-Version": "registry/2.0"}).state == "ok"


def test_a_traefik_that_waits_for_the_registry_is_not_to_be_started(traefik, monkeypatch):
    def wait(*_, **__):
        raise httpx.ReadTimeout("")

    monkeypatch.setattr("checks.doctor.network.httpx.get", wait)
    found = traefik(401)

    assert "Traefik waits for the registry" in found.what
    assert found.fix.startswith("python -m ops why")


def test_a_service_without_its_tags_is_to_be_deployed_again(traefik, service_at):
    found = traefik(404, answers=service_at("127.0.0.1"))

    assert (found.state, found.fix) == ("failure", "pulumi up --stack dev")


def test_a_service_with_its_tags_that_traefik_does_not_know_is_traefiks_matter(traefik, service_at, ready):
    tags = route_tags(ready(), "registry")

    found = traefik(404, answers=service_at("127.0.0.1", tags))

    assert found.fix.startswith("providers.consulCatalog.endpoint.address: 127.0.0.1:8500   #")
    assert "an entry point websecure" in found.fix


def test_an_address_that_is_not_let_through_is_named_with_the_setting(traefik):
    found = traefik(403, access={"allowedCidrs": ["192.168.1.0/24"]})

    setting, up = found.fix.splitlines()
    assert setting.startswith(
        "pulumi config set --path 'docker-registry:access.allowedCidrs[1]' NETWORK --stack dev   #"
    )
    assert up == "pulumi up --stack dev"


def test_a_traefik_that_does_not_reach_the_registry_asks_why(traefik):
    assert traefik(502).fix == "python -m ops why --stack dev"


def test_without_traefik_in_the_way_nothing_is_asked_of_it(look, resolves):
    resolves("127.0.0.1")
    plain = {"tls": {"mode": "plain"}, "access": {"bind": "127.0.0.1"}}

    assert look(traefik_routes, sections=plain).state == "not looked at"


def test_ports_that_nomad_chooses_are_not_looked_at(look):
    sections = {
        "registry": {"count": 2, "redis": {"address": "redis.lan:6379"}},
        "storage": {"driver": "s3", "s3": {"bucket": "images", "region": "any"}},
    }

    for check in (port_reachable, port_free):
        assert "ports that Nomad chooses" in look(check, sections=sections).what
