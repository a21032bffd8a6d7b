import json

from components.token_grants import TokenGrants, TokenGrantsArgs

KEY, ROLE = "vault:identity/oidcKey:OidcKey", "vault:identity/oidcRole:OidcRole"
POLICY = "vault:index/policy:Policy"
GRANTS = {
    "ci-app": {"repositories": {"ci/app": ["pull", "push"], "base/python": ["pull"]}, "ttl": "1h"},
    "readers": {"repositories": {"ci/app": ["pull"]}},
}


def deployed(deploy, read_settings):
    settings = read_settings(auth={"mode": "vault", "grants": GRANTS})
    recorder, _ = deploy(lambda: TokenGrants("tokens", TokenGrantsArgs.of(settings)).key)
    return recorder


def test_a_token_of_a_grant_opens_its_repositories_to_its_actions_and_nothing_else(deploy, read_settings):
    role = deployed(deploy, read_settings).inputs(ROLE, "tokens-ci-app")

    assert role["name"] == "docker-registry-ci-app"
    assert json.loads(role["template"]) == {
        "access": [
            {"type": "repository", "name": "base/python", "actions": ["pull"]},
            {"type": "repository", "name": "ci/app", "actions": ["pull", "push"]},
        ]
    }
    assert role["clientId"] == "registry.homelab.local", "the registry takes tokens for itself only"
    assert role["ttl"] == 3600


def test_a_policy_reads_a_token_of_its_own_grant_only(deploy, read_settings):
    policy = deployed(deploy, read_settings).inputs(POLICY, "tokens-readers-policy")

    assert policy == {
        "name": "docker-registry-readers",
        "policy": 'path "identity/oidc/token/docker-registry-readers" {\n  capabilities = ["read"]\n}',
    }


def test_the_key_signs_for_the_registry_only_and_outlives_every_token(deploy, read_settings):
    key = deployed(deploy, read_settings).inputs(KEY)

    assert key["allowedClientIds"] == ["registry.homelab.local"]
    assert key["verificationTtl"] > 24 * 3600, "auth.grants takes tokens of up to 24h"
    assert key["rotationPeriod"] > 24 * 3600, "the key set is fetched daily"
