"""Who may reach the registry at all."""

import socket
import ssl
import time

import httpx
import pytest

from devcluster.instance import HOSTNAME


@pytest.fixture(params=["traefik", "registry"])
def registry(deployment, request):
    before = deployment.settings_text()
    deployment.change("tls", mode=request.param)
    yield deployment
    deployment.restore(before)


@pytest.fixture(scope="module", autouse=True)
def _stack_as_it_was(deployment):
    deployment.wait_until_served()
    yield
    deployment.up()
    deployment.wait_until_served()


def test_answers_tell_a_browser_to_do_nothing_with_them(deployment):
    headers = httpx.get(f"http://{deployment.address}/v2/").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_consul_denies_the_registry_to_services_that_are_not_named(deployment):
    before = deployment.settings_text()
    try:
        deployment.change("access", allowedServices=["traefik", "ci"])
        assert deployment.changes() == {"registry-service-intentions": "update"}
        deployment.up()
        url = f"{deployment.cluster.consul_address}/v1/connect/intentions/check"
        allowed = {
            source: httpx.get(url, params={"source": source, "destination": "registry"}).json()["Allowed"]
            for source in ("traefik", "ci", "stranger")
        }
    finally:
        deployment.restore(before)
    assert allowed == {"traefik": True, "ci": True, "stranger": False}


def through_traefik(registry):
    """What a client on this machine gets through Traefik: a status, or that the connection was closed.

    None while the registry changes, or nobody answers in time.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", registry.ports.traefik_tls), timeout=5) as plain:
            context.wrap_socket(plain, server_hostname=HOSTNAME).close()
    except TimeoutError:  # a busy machine's
        return None
    except (ssl.SSLError, ConnectionError):
        return "closed"
    try:
        return httpx.get(f"https://{registry.tls_address}/v2/", verify=context).status_code
    except httpx.TransportError:
        return None


def wait_for(registry, expected, seconds=120):
    deadline = time.monotonic() + seconds
    while (answer := through_traefik(registry)) != expected:
        assert time.monotonic() < deadline, f"{answer}, not {expected}"
        time.sleep(0.5)


def test_traefik_lets_only_the_allowed_networks_through(registry):
    registry.change("access", allowedCidrs=["192.0.2.0/24", "2001:db8::/32"])
    registry.up()

    wait_for(registry, 403 if registry.tls_mode == "traefik" else "closed")
    assert registry.changes() == {}

    registry.change("access", allowedCidrs=["192.0.2.0/24", "127.0.0.0/8"])
    registry.up()

    wait_for(registry, 401)
