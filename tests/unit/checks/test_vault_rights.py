"""docs/policies/vault.hcl and the code say the same."""

import pytest
from policies import BLOCKS, vault_blocks, vault_rules

from checks.vault_rights import needed_rights

GRANTS = {"ci-app": {"repositories": {"ci/app": ["pull", "push"]}}}
VAULT = {"mode": "vault", "grants": GRANTS}
PEOPLE = {
    "discoveryUrl": "https://id.homelab.local",
    "clientId": "vault",
    "clientSecret": "s",
    "groups": {"developers": ["ci-app"]},
}
BUCKET = {"region": "eu", "bucket": "images", "accessKey": "a", "secretKey": "s"}
BACKUP_BUCKET = {
    "endpoint": "https://s3.homelab.local",
    "bucket": "backups",
    "accessKey": "a",
    "secretKey": "s",
}
OPEN = {"name": "docker-hub", "upstream": "https://registry-1.docker.io", "port": 5010}
HUB = {**OPEN, "username": "me", "password": "hunter2"}
STACKS = {
    "defaults": {},
    "policies": {"vault": {"identity": "policies"}},
    "own backend": {"vault": {"workload": {"createBackend": True}}},
    "secrets": {"storage": {"driver": "s3", "s3": BUCKET}},
    "bucket": {"storage": {"driver": "s3", "s3": BUCKET}, "maintenance": {"garbageCollection": {}}},
    "bucket, policies": {
        "storage": {"driver": "s3", "s3": BUCKET},
        "maintenance": {"garbageCollection": {}},
        "vault": {"identity": "policies"},
    },
    "tls": {"tls": {"mode": "registry"}},
    "authority": {"tls": {"mode": "registry", "authority": {"mount": "pki", "role": "web"}}},
    "open": {"auth": {"mode": "none", "allowAnonymous": True}},
    "grants": {"auth": VAULT},
    "grants, policies": {"auth": VAULT, "vault": {"identity": "policies"}},
    "nodes": {"auth": {**VAULT, "nodes": {"grant": "ci-app"}}},
    "nodes, policies": {
        "auth": {**VAULT, "nodes": {"grant": "ci-app"}},
        "vault": {"identity": "policies"},
    },
    "people": {"auth": {**VAULT, "oidc": PEOPLE}},
    "backups": {"maintenance": {"backup": {}}},
    "backups to a bucket": {"maintenance": {"backup": {"s3": BACKUP_BUCKET}}},
    "mirrors": {"mirrors": [HUB, {"name": "quay", "upstream": "https://quay.io", "port": 5011}]},
    "open mirror": {"mirrors": [{**OPEN, "auth": "none"}]},
    "mirrors, policies": {"mirrors": [HUB], "vault": {"identity": "policies"}},
    "mirrors, tls": {"mirrors": [{**OPEN, "auth": "none"}], "tls": {"mode": "registry"}},
    "backups, policies": {"maintenance": {"backup": {}}, "vault": {"identity": "policies"}},
}


@pytest.mark.parametrize("stack", STACKS)
def test_the_documented_policy_is_exactly_what_a_stack_needs(read_settings, stack):
    settings = read_settings(**STACKS[stack])

    assert vault_rules(settings) == needed_rights(settings)


def test_every_documented_block_is_needed_by_one_of_these_stacks(read_settings):
    stacks = [read_settings(**sections) for sections in STACKS.values()]

    assert list(vault_blocks()) == list(BLOCKS)
    assert all(any(needs(settings) for settings in stacks) for needs in BLOCKS.values())


def test_a_stack_of_another_name_asks_for_paths_of_its_own(read_settings):
    auth = {**VAULT, "oidc": PEOPLE, "nodes": {"grant": "ci-app"}}
    settings = read_settings(registry={"name": "mirror"}, auth=auth, tls={"mode": "registry"})
    shared = {"auth/token/create", "identity/group", "identity/group-alias"}

    paths = needed_rights(settings).keys() - shared

    assert all("mirror" in path for path in paths if not path.endswith("/id/*"))
    assert not any("docker-registry" in path for path in paths)


def test_each_grant_is_asked_for_by_its_name(read_settings):
    grants = dict.fromkeys(("build", "deploy"), GRANTS["ci-app"])

    rights = needed_rights(read_settings(auth={"mode": "vault", "grants": grants}))

    roles = [path for path in rights if path.startswith("identity/oidc/role/")]
    assert roles == ["identity/oidc/role/docker-registry-build", "identity/oidc/role/docker-registry-deploy"]


def test_without_a_child_token_no_right_to_make_tokens_is_needed(read_settings):
    servers = {
        "nomad:address": "http://127.0.0.1:4646",
        "consul:address": "127.0.0.1:8500",
        "vault:address": "http://127.0.0.1:8200",
        "vault:skipChildToken": "true",
    }

    assert "auth/token/create" not in needed_rights(read_settings(servers=servers))
