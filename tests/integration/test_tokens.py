"""Auth mode vault: what a token of a grant opens, and what no token opens."""

import json
import shutil
import time

import httpx
import hvac
import pytest
from signed_tokens import SigningKey, claims, decoded, public_pem, signed_with_public_key
from vault_people import person, registry_token

GRANTS = {
    "ci-app": {"repositories": {"ci/app": ["pull", "push"]}},
    "reader": {"repositories": {"ci/app": ["pull"]}},
    "brief": {"repositories": {"ci/app": ["pull", "push"]}, "ttl": "1m"},
}
ROLES = {grant: f"docker-registry-{grant}" for grant in GRANTS}


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("auth", mode="vault", users=None, grants=GRANTS)
    deployment.up()
    deployment.wait_until_served()
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture(scope="module")
def vault_token(registry):
    """Vault's token of somebody who has every grant."""
    return person(registry.cluster, "everyone", *ROLES.values())


@pytest.fixture(scope="module")
def brief(registry, vault_token):
    """A token that is let end while other tests run."""
    return registry_token(registry.cluster, vault_token, ROLES["brief"])


@pytest.fixture
def docker_config(tmp_path, registry):
    """A docker configuration in which a token can be put."""

    def with_token(token):
        auths = {registry.address: {"registrytoken": token}, registry.tls_address: {"registrytoken": token}}
        (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
        return {"DOCKER_CONFIG": str(tmp_path)}

    return with_token


@pytest.fixture(autouse=True)
def _brief_starts_early(brief):
    pass


def push(registry, env, repository="ci/app", check=True, tag="1"):
    reference = f"{registry.address}/{repository}:{tag}"
    registry.docker("tag", "registry:3", reference)
    return registry.run("docker", "push", "--quiet", reference, env=env, check=check)


def pull(registry, env, repository="ci/app", check=True):
    reference = f"{registry.tls_address}/{repository}:1"
    return registry.run("docker", "pull", "--quiet", reference, env=env, check=check)


def is_refusal(text):
    return "denied" in text or "unauthorized" in text


def test_a_grant_pushes_and_pulls_its_own_repository_with_docker_and_crane(
    registry, vault_token, docker_config, tmp_path
):
    env = docker_config(registry_token(registry.cluster, vault_token, ROLES["ci-app"]))

    push(registry, env)
    pull(registry, env)
    copy = f"{registry.tls_address}/ci/app:copied"
    registry.crane("copy", f"{registry.address}/ci/app:1", copy, config=tmp_path)
    assert registry.crane("ls", f"{registry.address}/ci/app", config=tmp_path).split() == ["1", "copied"]


def test_following_next_steps_line_by_line_pushes_and_pulls_with_a_token(registry, vault_token, tmp_path):
    commands = [
        line.strip() for line in registry.output("nextSteps").splitlines() if line.startswith("     ")
    ]
    env = {"VAULT_TOKEN": vault_token, "DOCKER_CONFIG": str(tmp_path)}
    assert "python -m ops login brief --stack dev" in commands
    try:
        for command in commands:
            registry.run("sh", "-ec", command, env=env)
    finally:
        shutil.rmtree(f"/etc/docker/certs.d/{registry.tls_address}", ignore_errors=True)


def test_a_grant_opens_no_other_repository(registry, vault_token, docker_config, tmp_path):
    env = docker_config(registry_token(registry.cluster, vault_token, ROLES["ci-app"]))

    assert "denied" in push(registry, env, repository="ci/other", check=False)
    assert "denied" in pull(registry, env, repository="ci/other", check=False)
    refusal = registry.crane("catalog", registry.address, config=tmp_path, check=False)
    assert "UNAUTHORIZED" in refusal or "DENIED" in refusal


def test_a_grant_with_pull_alone_pulls_and_does_not_push(registry, vault_token, docker_config):
    env = docker_config(registry_token(registry.cluster, vault_token, ROLES["reader"]))

    pull(registry, env)
    assert "denied" in push(registry, env, check=False)


def test_without_a_token_nothing_is_served(registry, tmp_path):
    assert is_refusal(pull(registry, {"DOCKER_CONFIG": str(tmp_path)}, check=False))


def accepted(registry):
    """What makes a token right, but for the key."""
    access = [{"type": "repository", "name": "ci/app", "actions": ["pull", "push"]}]
    issuer = f"{registry.cluster.vault_address}/v1/identity/oidc"
    return {"issuer": issuer, "audience": "registry.homelab.local", "access": access}


def published_key(registry):
    keys = httpx.get(f"{registry.cluster.vault_address}/v1/identity/oidc/.well-known/keys").json()
    return keys["keys"][0]


def forged(registry, wrong):
    key = SigningKey("forged")
    content, ours = claims(**accepted(registry)), published_key(registry)
    match wrong:
        case "signed by another key":
            return key.sign(content)
        case "signed by another key under the name of ours":
            return key.sign(content, kid=ours["kid"])
        case "alg none":
            return key.sign(content, kid=ours["kid"], algorithm="none")
        case "alg HS256 with the public key as PEM":
            return signed_with_public_key(content, ours, public_pem(ours))
        case "alg HS256 with the public key as JWK":
            return signed_with_public_key(content, ours, json.dumps(ours).encode())
        case "no token at all":
            return "nonsense"


@pytest.mark.parametrize(
    "wrong",
    [
        "signed by another key",
        "signed by another key under the name of ours",
        "alg none",
        "alg HS256 with the public key as PEM",
        "alg HS256 with the public key as JWK",
        "no token at all",
    ],
)
def test_a_forged_token_opens_nothing(registry, docker_config, wrong):
    env = docker_config(forged(registry, wrong))

    assert is_refusal(push(registry, env, check=False))
    assert is_refusal(pull(registry, env, check=False))


@pytest.fixture
def vault(registry):
    return hvac.Client(url=registry.cluster.vault_address, token=registry.cluster.vault_token)


def refresh_keys(registry):
    return registry.run("python", "-m", "ops", "keys", "refresh", "--stack", "dev")


def test_a_token_of_vaults_for_another_audience_opens_nothing(registry, vault, vault_token, docker_config):
    # Signed with a key whose public half the registry has.
    vault.write_data(
        "identity/oidc/key/docker-registry",
        data={"allowed_client_ids": ["registry.homelab.local", "other"], "algorithm": "ES256"},
    )
    template = json.dumps({"access": accepted(registry)["access"]})
    role = {"key": "docker-registry", "client_id": "other", "template": template, "ttl": "10m"}
    vault.write_data("identity/oidc/role/docker-registry-other", data=role)
    vault.sys.create_or_update_policy(
        "docker-registry-other",
        'path "identity/oidc/token/docker-registry-other" { capabilities = ["read"] }',
    )
    try:
        other = person(registry.cluster, "other", "docker-registry-other")
        token = registry_token(registry.cluster, other, "docker-registry-other")
        assert decoded(token)["aud"] == "other"
        assert is_refusal(push(registry, docker_config(token), check=False))
    finally:
        vault.delete("identity/oidc/role/docker-registry-other")
        vault.sys.delete_policy("docker-registry-other")
        registry.up()


def test_a_token_of_vaults_by_another_issuer_opens_nothing(registry, vault, vault_token, docker_config):
    vault.write_data("identity/oidc/config", data={"issuer": "https://vault.elsewhere"})
    try:
        token = registry_token(registry.cluster, vault_token, ROLES["ci-app"])
        assert decoded(token)["iss"].startswith("https://vault.elsewhere")
        assert is_refusal(push(registry, docker_config(token), check=False))
        assert "auth.issuer" in registry.preview(check=False)
    finally:
        vault.write_data("identity/oidc/config", data={"issuer": ""})


def test_a_token_that_ended_opens_nothing(registry, brief, docker_config):
    # distribution allows a minute beyond the end for clocks that differ.
    time.sleep(max(0, decoded(brief)["exp"] + 62 - time.time()))

    assert is_refusal(push(registry, docker_config(brief), check=False))
    assert is_refusal(pull(registry, docker_config(brief), check=False))


def test_after_a_rotation_of_the_key_both_tokens_work(registry, vault, vault_token, docker_config):
    allocation = registry.allocation()
    old = registry_token(registry.cluster, vault_token, ROLES["ci-app"])

    vault.write_data("identity/oidc/key/docker-registry/rotate")
    new = registry_token(registry.cluster, vault_token, ROLES["ci-app"])

    assert kid(new) != kid(old)
    push(registry, docker_config(new), tag="rotated")
    push(registry, docker_config(old), tag="still")
    assert registry.allocation() == allocation
    # From here on the registry restarts at any time within 5 minutes, so that no test comes after this one.
    assert kid(new) in refresh_keys(registry)


def kid(token):
    return decoded(token, part=0)["kid"]
