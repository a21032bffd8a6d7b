import pytest

from config.providers import Providers

ENV = {
    "NOMAD_ADDR": "http://nas.lan:4646",
    "CONSUL_HTTP_ADDR": "nas.lan:8500",
    "VAULT_ADDR": "https://vault.lan:8200",
}


def providers(config=None, **env):
    read, problems = Providers.read(config or {}, {**ENV, **env})
    assert problems == []
    return read


def problem(config=None, **env):
    read, [found] = Providers.read(config or {}, {**ENV, **env})
    assert read is None
    return str(found)


def test_addresses_and_tokens_come_from_the_environment():
    read = providers(NOMAD_TOKEN="n", CONSUL_HTTP_TOKEN="c", VAULT_TOKEN="v")
    assert [each.address for each in (read.nomad, read.consul, read.vault)] == [
        "http://nas.lan:4646",
        "http://nas.lan:8500",
        "https://vault.lan:8200",
    ]
    assert [each.token for each in (read.nomad, read.consul, read.vault)] == ["n", "c", "v"]


def test_the_stack_file_wins_over_the_environment():
    read = providers({"vault:address": "https://other.lan:8200", "vault:token": "mine"}, VAULT_TOKEN="v")
    assert (read.vault.address, read.vault.token) == ("https://other.lan:8200", "mine")


def test_an_address_without_a_scheme_takes_consuls_scheme():
    assert providers({"consul:scheme": "https"}).consul.address == "https://nas.lan:8500"


def test_a_slash_at_the_end_of_an_address_is_left_out():
    assert providers(NOMAD_ADDR="http://nas.lan:4646/").nomad.address == "http://nas.lan:4646"


def test_an_address_with_another_scheme_is_refused_with_an_example():
    assert problem(NOMAD_ADDR="ftp://nas.lan") == (
        "nomad:address: 'ftp://nas.lan' is no address; write it as http://nas.homelab.local:4646"
    )


@pytest.mark.parametrize(
    "address",
    [
        "nas.lan:4646",  # Nomad's client takes nas.lan for the scheme
        "127.0.0.1:4646",
        "http://",
        "http://:4646",
        "http:/nas.lan:4646",
        "http://nas.lan:46460000",
        "http://nas.lan:http",
        "http://nas.lan:0",
        "http://[::1",
        "http://nas lan:4646",
        "http://nas.lan:4646\n",
        "unix:///run/nomad.sock",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(address):
    line = problem(NOMAD_ADDR=address)

    assert line == f"nomad:address: {address!r} is no address; write it as http://nas.homelab.local:4646"


def test_the_scheme_of_vault_is_not_guessed():
    assert "vault:address: 'vault.lan:8200' is no address" in problem(VAULT_ADDR="vault.lan:8200")


@pytest.mark.parametrize(
    "env",
    [
        {"NOMAD_ADDR": "http://nas.lan:4646/ui/jobs"},
        {"NOMAD_ADDR": "http://nas.lan/nomad"},
        {"CONSUL_HTTP_ADDR": "nas.lan:8500/ui"},
        {"VAULT_ADDR": "https://vault.lan:8200/v1/"},
        {"VAULT_ADDR": "https://vault.lan:8200?x=1"},
    ],
)
def test_the_address_of_a_page_is_refused(env):
    assert "is no address of the API, but of a page: it ends with the port; write it as" in problem(**env)


def test_a_password_in_an_address_is_refused_and_not_shown():
    line = problem(CONSUL_HTTP_ADDR="http://me:hunter2@nas.lan:8500")

    assert line.startswith("consul:address: has a user in it, and Consul takes a token: set consul:token")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("env", "address"),
    [
        ({"VAULT_ADDR": "https://proxy.lan/vault"}, "https://proxy.lan/vault"),
        ({"VAULT_ADDR": "http://[::1]:8200"}, "http://[::1]:8200"),
        ({"VAULT_ADDR": "http://my_vault:8200"}, "http://my_vault:8200"),
    ],
)
def test_an_address_that_a_client_can_use_is_accepted(env, address):
    assert providers(**env).vault.address == address


def test_an_empty_address_is_a_missing_one():
    assert problem(VAULT_ADDR="") == (
        "vault:address: the address of Vault is missing: "
        "set it, or VAULT_ADDR, as https://vault.homelab.local:8200"
    )


@pytest.mark.parametrize("written", ["true", "1", "TRUE"])
def test_the_check_of_a_certificate_is_left_out_only_when_told_so(written):
    assert providers(VAULT_SKIP_VERIFY=written).vault.skip_verify
    assert not providers().vault.skip_verify


def test_certificates_are_found_by_the_providers_own_keys():
    read = providers({"nomad:caFile": "/ca.pem"}, VAULT_CACERT="/vault.pem")
    assert (read.nomad.ca_file, read.vault.ca_file) == ("/ca.pem", "/vault.pem")


def test_a_login_of_the_vault_provider_itself_is_noticed():
    assert providers({"vault:authLoginUserpass": "{}"}).vault_logs_in
    assert not providers().vault_logs_in


def test_a_child_token_is_made_unless_the_stack_says_not_to():
    assert providers().vault_makes_child_token
    assert not providers({"vault:skipChildToken": "true"}).vault_makes_child_token


def test_a_token_is_not_shown_when_an_endpoint_is_printed():
    assert "hunter2" not in repr(providers(VAULT_TOKEN="hunter2"))
