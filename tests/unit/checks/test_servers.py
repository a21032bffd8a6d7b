import httpx
import pytest
import trustme

from checks.errors import AnswerError, CheckError
from checks.servers import Servers

REFUSED = httpx.ConnectError("[Errno 111] Connection refused")


def test_a_server_that_is_down_is_named_with_its_address_and_setting(servers, ready):
    nomad = servers(ready(), {"/v1/nodes": REFUSED}).nomad

    with pytest.raises(CheckError) as caught:
        nomad.get("/v1/nodes")

    expected = (
        "Nomad at http://127.0.0.1:4646 does not answer (connection refused): start it, or set nomad:address"
    )
    assert str(caught.value) == expected


def test_a_server_that_hangs_is_said_to_time_out(servers, ready):
    vault = servers(ready(), {"/v1/sys/health": httpx.ReadTimeout("")}).vault

    with pytest.raises(CheckError, match=r"does not answer \(timed out\)"):
        vault.get("/v1/sys/health")


def test_an_http_error_carries_path_status_and_the_servers_words_but_no_token(servers, ready):
    refusal = {"status": 403, "body": {"errors": ["permission denied"]}}
    vault = servers(ready(), {"/v1/secret/x": refusal}).vault

    with pytest.raises(AnswerError) as caught:
        vault.get("/v1/secret/x")

    message = "Vault at http://127.0.0.1:8200: GET /v1/secret/x answered 403: permission denied"
    assert str(caught.value) == f"{message} (check vault:token)"
    assert "hvs.secret-token" not in repr(caught.value)


def test_an_answer_that_is_no_json_names_the_address_setting(servers, ready):
    consul = servers(ready(), {"/v1/status/leader": {"status": 200, "body": "<html>"}}).consul

    with pytest.raises(CheckError, match="no JSON: check consul:address"):
        consul.get("/v1/status/leader")


def test_each_server_is_asked_with_its_own_token(ready):
    seen = {}

    def answer(request):
        seen[request.url.port] = dict(request.headers)
        return httpx.Response(200, json=[])

    tokens = {"nomad:secretId": "n", "consul:token": "c"}
    with Servers(ready(servers=tokens).providers, httpx.MockTransport(answer)) as servers:
        for server in (servers.nomad, servers.consul, servers.vault):
            server.get("/v1/x")

    assert seen[4646]["x-nomad-token"] == "n"
    assert seen[8500]["x-consul-token"] == "c"
    assert seen[8200]["x-vault-token"] == "hvs.secret-token"


def test_without_a_vault_token_the_one_of_vault_login_is_used(ready, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = ready(servers={"vault:token": None})
    with Servers(settings.providers) as before:
        assert not before.vault.has_token

    (tmp_path / ".vault-token").write_text("from-login\n")

    with Servers(settings.providers) as after:
        assert after.vault.has_token


def test_an_authority_that_cannot_be_read_is_named(ready):
    servers = {"nomad:address": "https://127.0.0.1:4646", "nomad:caFile": "/none/ca.pem"}

    with pytest.raises(CheckError, match=r"Nomad: cannot use /none/ca\.pem: No such file"):
        Servers(ready(servers=servers).providers)


def test_a_certificate_of_an_unknown_authority_names_the_setting_for_it(ready, tls_server):
    settings = ready(servers={"nomad:address": tls_server.address})
    refused = pytest.raises(CheckError, match="certificate that is not trusted: set nomad:caFile")

    with Servers(settings.providers) as servers, refused:
        servers.nomad.get("/")


def test_a_certificate_of_the_given_authority_is_trusted(ready, tls_server, tmp_path):
    tls_server.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = {"nomad:address": tls_server.address, "nomad:caFile": str(tmp_path / "ca.pem")}

    with Servers(ready(servers=settings).providers) as servers:
        assert servers.nomad.get("/") == []


def test_skip_verify_takes_any_certificate(ready, tls_server):
    settings = {"nomad:address": tls_server.address, "nomad:skipVerify": "true"}

    with Servers(ready(servers=settings).providers) as servers:
        assert servers.nomad.get("/") == []


@pytest.fixture
def tls_server(web_server):
    authority = trustme.CA()
    server = web_server(body="[]", certificate=authority.issue_cert("127.0.0.1"))
    server.authority = authority
    return server
