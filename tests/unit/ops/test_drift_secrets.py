"""Every secret that the stack put into Vault is compared with what is there now."""

import json

import httpx
import pytest

from checks.servers import Servers
from ops.drift import changed_secrets
from ops.stack import Deployed

KIND = "vault:kv/secretV2:SecretV2"
VAULT = {
    "docker-registry/http": {"secret": "f00d"},
    "docker-registry/users": {"htpasswd": "mallory:theirs"},
    "docker-registry/mirrors/hub": {"username": "me", "password": "hunter2"},
    "docker-registry/jwks": {"jwks": "what the job wrote"},
}


def secret(name, data, **inputs):
    values = {"mount": "secret", "name": f"docker-registry/{name}", "dataJson": json.dumps(data), **inputs}
    return Deployed(urn=f"urn::{name}", type=KIND, inputs=values)


DEPLOYED = [
    secret("http", {"secret": "f00d"}),
    secret("users", {"htpasswd": "demo:ours"}),
    secret("config", {"a": "b"}),
    secret("mirrors/hub", {"password": "hunter2", "username": "me"}),
    secret("backup-s3", {"access_key": "a", "secret_key": "b"}),
    secret("jwks", {"jwks": "empty at first"}, disableRead=True),
    Deployed(urn="urn::policy", type="vault:index/policy:Policy", inputs={"policy": "…"}),
]


@pytest.fixture
def vault(read_settings):
    def answer(request):
        data = VAULT.get(request.url.path.removeprefix("/v1/secret/data/"))
        return httpx.Response(200 if data else 404, json={"data": {"data": data}})

    with Servers(read_settings().providers, httpx.MockTransport(answer)) as servers:
        yield servers.vault


def test_each_secret_is_compared_and_what_a_job_writes_only_has_to_be_there(vault, read_settings):
    found = dict(changed_secrets(vault, read_settings(), DEPLOYED))

    gone = "its newest version in Vault is deleted or destroyed"
    assert found == {
        "urn::users": "has other contents in Vault than were deployed",
        "urn::config": gone,
        "urn::backup-s3": gone,
    }


def test_where_the_provider_logs_in_by_itself_it_is_said_that_none_is_compared(vault, read_settings, capsys):
    servers = {f"{name}:address": "http://127.0.0.1:1" for name in ("nomad", "consul", "vault")}
    settings = read_settings(servers={**servers, "vault:authLoginUserpass": "{}"})

    assert not list(changed_secrets(vault, settings, DEPLOYED))
    assert "secrets in Vault are not compared" in capsys.readouterr().err
