import socket

import httpx
import pytest

from checks import proxies
from checks.errors import CheckError
from checks.proxies import EnvironmentTransport, proxy_for
from checks.servers import Servers

PROXY = "http://proxy.example.org:3128"
BOTH = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": "proxy.example.org:3129", "ALL_PROXY": "socks5://127.0.0.1:1"}
NAMES = {"nomad.lan": "192.168.1.10", "vault.example.org": "93.184.216.34"}


@pytest.fixture(autouse=True)
def resolved(monkeypatch):
    """Resolve names without a DNS server."""

    ask = socket.getaddrinfo

    def getaddrinfo(host, *rest):
        if host in NAMES or host[0].isdigit() or ":" in host:
            return ask(NAMES.get(host, host), *rest)
        raise OSError("Name or service not known")

    proxies._is_near.cache_clear()
    monkeypatch.setattr("checks.proxies.socket.getaddrinfo", getaddrinfo)
    yield
    proxies._is_near.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:4646", "http://localhost:8500", "https://[::1]:8200", "http://127.5.0.1"),
        *("http://192.168.1.10:4646", "https://10.0.0.1", "http://172.16.3.4", "http://[fd00::1]:4646"),
        *("http://169.254.1.1", "http://100.64.0.7", "http://nomad.lan:4646"),
    ],
)
def test_what_is_near_is_asked_without_a_proxy(url):
    assert proxy_for(httpx.URL(url), BOTH) is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://93.184.216.34:4646", PROXY),
        ("https://vault.example.org", "http://proxy.example.org:3129"),
        ("https://only.the.proxy.knows", "http://proxy.example.org:3129"),
    ],
)
def test_what_is_far_is_asked_by_the_proxy_of_its_scheme(url, proxy):
    assert proxy_for(httpx.URL(url), BOTH) == proxy
    assert proxy_for(httpx.URL(url), {key.lower(): value for key, value in BOTH.items()}) == proxy
    assert proxy_for(httpx.URL(url), {"ALL_PROXY": PROXY}) is None  # Go's clients do not read it


@pytest.mark.parametrize(
    ("excepted", "direct"),
    [
        *(("*", True), ("example.org", True), (".example.org", True), ("*.example.org", True)),
        *(("vault.example.org", True), ("a.lan, vault.example.org:443", True), ("VAULT.EXAMPLE.ORG", True)),
        *(("vault.example.org:8200", False), ("ample.org", False), ("", False), ("93.184.216.0/24", False)),
    ],
)
def test_no_proxy_has_names_with_and_without_a_port(excepted, direct):
    environment = {**BOTH, "NO_PROXY": excepted}

    assert (proxy_for(httpx.URL("https://vault.example.org"), environment) is None) is direct


@pytest.mark.parametrize("excepted", ["93.184.216.34", "93.184.216.0/24", "93.184.216.34:80"])
def test_no_proxy_has_addresses_and_networks(excepted):
    assert proxy_for(httpx.URL("http://93.184.216.34"), {**BOTH, "no_proxy": excepted}) is None


def test_a_proxy_of_another_kind_is_named_with_what_to_do():
    with pytest.raises(
        CheckError, match=r"HTTPS_PROXY is no HTTP proxy: set NO_PROXY to vault\.example\.org"
    ):
        proxy_for(httpx.URL("https://vault.example.org"), {"HTTPS_PROXY": "socks5://127.0.0.1:1080"})


def test_a_request_goes_to_the_proxy_or_past_it(web_server):
    proxy, near = web_server(body="by the proxy"), web_server(body="direct")
    environment = {"HTTP_PROXY": proxy.address}

    with httpx.Client(transport=EnvironmentTransport(environment=environment)) as client:
        assert client.get("http://93.184.216.34/").text == "by the proxy"
        assert client.get(near.address).text == "direct"


def test_the_servers_of_a_stack_are_reached_whatever_the_environment_says(ready, web_server, monkeypatch):
    for name in BOTH:
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "socks5://127.0.0.1:1")
    address = web_server(body='"10.0.0.1:4647"').address

    with Servers(ready(servers={"nomad:address": address}).providers) as servers:
        assert servers.nomad.get("/v1/status/leader") == "10.0.0.1:4647"


def test_a_server_that_a_proxy_does_not_reach_is_told_with_the_variable(ready, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    settings = ready(servers={"nomad:address": "http://93.184.216.34:4646"})

    with (
        Servers(settings.providers) as servers,
        pytest.raises(CheckError, match=r"does not answer \(.*, by the proxy in HTTP_PROXY\)"),
    ):
        servers.nomad.get("/v1/status/leader")
