import httpx
import pytest

from checks.doctor.servers import consul_ready, nomad_ready, vault_ready

REFUSED = httpx.ConnectError("[Errno 111] Connection refused")


def test_servers_that_are_ready_are_told_with_their_versions(look):
    version = {"vault /v1/sys/health": {"status": 200, "body": {"initialized": True, "sealed": False}}}

    assert look(nomad_ready).what == "Nomad 1.6.3 at http://127.0.0.1:4646"
    consul = {"consul /v1/agent/self": {"status": 200, "body": {"Config": {"Version": "1.15.3"}}}}
    assert look(consul_ready, consul).what == "Consul 1.15.3 at http://127.0.0.1:8500"
    version["vault /v1/sys/health"]["body"]["version"] = "2.7.2"
    assert look(vault_ready, version).what == "Vault 2.7.2 at http://127.0.0.1:8200"


def test_a_version_that_the_token_may_not_read_is_left_out(look):
    refused = {"consul /v1/agent/self": {"status": 403, "body": "Permission denied"}}

    found = look(consul_ready, refused)

    assert (found.state, found.what) == ("ok", "Consul at http://127.0.0.1:8500")


@pytest.mark.parametrize(
    ("check", "path", "name"),
    [
        (nomad_ready, "nomad /v1/status/leader", "nomad"),
        (consul_ready, "consul /v1/status/leader", "consul"),
        (vault_ready, "vault /v1/sys/health", "vault"),
    ],
)
def test_a_server_that_is_down_is_a_failure_and_is_to_be_started(look, check, path, name):
    found = look(check, {path: REFUSED})

    assert found.state == "failure"
    assert "does not answer (connection refused)" in found.what
    assert found.fix.startswith(f"systemctl start {name}")


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (403, "pulumi config set --secret nomad:secretId --stack dev"),
        (500, "journalctl -u nomad   # on its machine"),
    ],
)
def test_a_server_that_refuses_is_told_with_the_token_or_its_log(look, status, fix):
    found = look(nomad_ready, {"nomad /v1/status/leader": {"status": status, "body": "no"}})

    assert (found.state, found.fix) == ("failure", fix)


def test_a_sealed_vault_is_to_be_unsealed(look):
    sealed = {"vault /v1/sys/health": {"status": 200, "body": {"initialized": True, "sealed": True}}}

    found = look(vault_ready, sealed)

    assert found.what == "Vault at http://127.0.0.1:8200 is sealed"
    assert found.fix == "vault operator unseal"


def test_a_nomad_that_is_too_new_for_the_setting_is_a_failure(look):
    new = {"nomad /v1/agent/self": {"status": 200, "body": {"config": {"Version": {"Version": "1.10.0"}}}}}

    found = look(nomad_ready, new)

    assert (found.state, found.fix) == ("failure", "set vault.identity to workload")


def test_a_server_without_a_leader_is_a_failure(look):
    found = look(consul_ready, {"consul /v1/status/leader": {"status": 200, "body": '""'}})

    assert (found.state, found.fix) == ("failure", "journalctl -u consul   # on its servers")
