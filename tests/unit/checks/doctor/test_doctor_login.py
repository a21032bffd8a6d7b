import base64
import json

import pytest

from checks.doctor.facts import Facts
from checks.doctor.login import login_asked_for, login_works, speaks_plain

INSECURE = {"RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": ["127.0.0.0/8"]}}
SERVICE = "/v1/health/service/registry"
BUCKET = {"driver": "s3", "s3": {"bucket": "images", "region": "eu-central-1"}}


def pair(user):
    return base64.b64encode(f"{user}:s3cret".encode()).decode()


@pytest.fixture
def registry(web_server, monkeypatch, tmp_path, look):
    """A registry that gives one answer, and a docker that is logged in there."""
    monkeypatch.setattr(Facts, "engine", lambda _: INSECURE)
    monkeypatch.setattr(Facts, "addresses", lambda _: ("127.0.0.1",))

    def run(code, entry, **sections):
        port = web_server(body="", code=code).port
        address = f"localhost:{port}"
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: entry} if entry else {}}))
        registry = {"registry": {"hostname": "localhost", "port": port}}
        return look(
            login_works, env={"DOCKER_CONFIG": str(tmp_path)}, sections={**registry, **sections}
        ), address

    return run


def test_a_log_in_that_the_registry_takes_is_ok(registry):
    found, address = registry(200, {"auth": pair("alice")})

    assert found.what == f"the log-in at {address} works"


def test_a_password_that_is_refused_is_to_be_given_again_and_is_not_shown(registry, bcrypt_hash):
    users = {"auth": {"users": {"alice": bcrypt_hash, "bob": bcrypt_hash}}}

    found, address = registry(401, {"auth": pair("bob")}, **users)

    assert (found.state, found.what) == ("failure", f"the log-in at {address} gets 401")
    assert found.fix == f"docker login --username bob {address}"
    assert pair("bob") not in repr(found) and "s3cret" not in repr(found)


def test_a_user_that_the_stack_does_not_know_logs_in_as_one_that_it_does(registry, bcrypt_hash):
    found, address = registry(401, {"auth": pair("mallory")}, auth={"users": {"alice": bcrypt_hash}})

    assert found.fix == f"docker login --username alice {address}"


def test_a_token_that_is_over_is_fetched_again(registry):
    grants = {"ci-app": {"repositories": {"ci/app": ["pull"]}}}

    found, _ = registry(401, {"registrytoken": "signed"}, auth={"mode": "vault", "grants": grants})

    assert found.fix == "python -m ops login ci-app --stack dev"


def test_a_docker_that_is_not_logged_in_is_not_looked_at(registry):
    found, address = registry(200, None)

    assert found.state == "not looked at"
    assert f"has no log-in at {address}" in found.what


def test_no_password_is_sent_where_docker_would_send_none(registry, monkeypatch):
    monkeypatch.setattr(Facts, "addresses", lambda _: ("192.168.1.5",))

    found, address = registry(200, {"auth": pair("alice")})

    assert found.what == f"{address} speaks plain HTTP, where docker gives no password"


@pytest.mark.parametrize(
    ("tls", "count", "plain"),
    [
        ({"mode": "traefik"}, 1, {"registry.homelab.local:5000": True, "registry.homelab.local": False}),
        ({"mode": "traefik"}, 2, {"registry.homelab.local": False}),
        ({"mode": "registry"}, 1, {"registry.homelab.local:5000": False, "registry.homelab.local": False}),
        ({"mode": "plain", "allowPlain": True}, 1, {"registry.homelab.local:5000": True}),
    ],
)
def test_passwords_go_in_clear_only_where_there_is_no_tls(read_settings, tls, count, plain):
    registry = {"count": count, "redis": {"address": "redis.lan:6379"}}
    shared = {"registry": registry, "storage": BUCKET} if count > 1 else {}

    settings = read_settings(tls=tls, **shared)

    assert {address: speaks_plain(settings, address) for address in settings.client_addresses} == plain


@pytest.fixture
def answering(well, web_server):
    """Let the registry answer with this status."""

    def make(code):
        [instance] = well[SERVICE]["body"]
        instance["Service"]["Port"] = web_server(body="", code=code).port

    return make


@pytest.mark.parametrize(
    ("code", "sections", "state"),
    [
        (401, {}, "ok"),
        (200, {}, "failure"),
        (200, {"auth": {"mode": "none", "allowAnonymous": True}}, "ok"),
    ],
)
def test_a_registry_that_lets_everybody_in_against_the_settings_is_a_failure(
    look, answering, code, sections, state
):
    answering(code)

    assert look(login_asked_for, sections=sections).state == state
