"""The log-in in the browser; the real one is tests/integration/test_login.py."""

import socket
import threading
import time

import httpx
import pytest

from checks.servers import Server
from config.providers import Endpoint
from ops import oidc_callback
from ops.oidc_callback import Callback, CallbackError
from ops.vault_login import LoginError, log_in_with_browser


@pytest.fixture
def callback(monkeypatch):
    monkeypatch.setattr(oidc_callback, "PORT", 0)  # any free one
    with Callback() as listening:
        yield listening


@pytest.fixture
def browse(callback):
    """Let a browser visit pages in turn while the command waits; gives the pages that it was shown."""
    shown = []

    def visit(*paths):
        def run():
            shown.extend(httpx.get(f"http://127.0.0.1:{callback.server_port}{path}") for path in paths)

        threading.Thread(target=run, daemon=True).start()
        return shown

    return visit


def test_the_code_that_the_browser_brings_is_given(callback, browse):
    shown = browse("/oidc/callback?state=s1&code=c%2B1")

    assert callback.wait("s1", 5) == "c+1"
    time.sleep(0.05)
    assert "You can close this page" in shown[0].text


def test_other_pages_and_other_log_ins_are_passed_over(callback, browse):
    browse("/favicon.ico", "/oidc/callback?state=another&code=c0", "/oidc/callback?state=s1&code=c1")

    assert callback.wait("s1", 5) == "c1"


def test_a_refusal_of_the_provider_is_given_in_its_words(callback, browse):
    browse("/oidc/callback?state=s1&error=access_denied&error_description=Anna+is+not+allowed")

    with pytest.raises(CallbackError, match="the provider refused the log-in: Anna is not allowed"):
        callback.wait("s1", 5)


def test_connections_that_say_nothing_or_little_do_not_keep_the_browser_waiting(callback, browse):
    idle = [socket.create_connection(("127.0.0.1", callback.server_port)) for _ in range(100)]
    idle[-1].sendall(b"GET /oidc")
    browse("/oidc/callback?state=s1&code=c1")

    assert callback.wait("s1", 5) == "c1"
    for each in idle:
        each.close()


def test_nobody_is_waited_for_without_end(callback):
    with pytest.raises(CallbackError, match="nobody logged in within 0 s"):
        callback.wait("s1", 0.01)


def test_a_port_that_is_taken_is_named(callback, monkeypatch):
    monkeypatch.setattr(oidc_callback, "PORT", callback.server_port)

    with pytest.raises(CallbackError, match=rf"cannot listen on port {callback.server_port} of this machine"):
        Callback()


def test_only_this_machine_is_listened_to(callback):
    assert callback.server_address[0] == "127.0.0.1"


def test_a_person_in_no_group_is_told_what_the_provider_left_out(vault, monkeypatch):
    monkeypatch.setattr(oidc_callback, "PORT", 0)
    endpoint = Endpoint(name="Vault", setting="vault:address", address=vault.address)
    mount = "/v1/auth/people/oidc"
    vault.refuse(f"{mount}/auth_url", 400, 'failed to fetch groups: "groups" claim not found in token')

    with pytest.raises(LoginError, match="the provider names no group of yours"):
        log_in_with_browser(Server(endpoint, None), "people", "registry")


def test_a_role_that_vault_does_not_begin_is_explained(ops, client_machine, vault, monkeypatch):
    monkeypatch.setattr(oidc_callback, "PORT", 0)
    client_machine(auth={"mode": "vault", "grants": {"ci-app": {}}, "oidc": {"groups": {}}})
    vault.answer("/v1/auth/docker-registry-oidc/oidc/auth_url", {"data": {"auth_url": ""}})

    result = ops("login", "ci-app", "--stack", "dev")

    assert "begins no log-in by role docker-registry of auth/docker-registry-oidc" in str(result.exception)
