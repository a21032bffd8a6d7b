import json

import pytest

from checks.doctor.secrets import (
    keys_current,
    reads,
    secrets_closed,
    secrets_there,
    vault_role_fits,
)

METADATA = "vault /v1/secret/metadata/docker-registry/"
VAULT = {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"ci/app": ["pull"]}}}}}


def secret(deletion_time="", destroyed=False):
    version = {"deletion_time": deletion_time, "destroyed": destroyed}
    return {"status": 200, "body": {"data": {"current_version": 3, "versions": {"3": version}}}}


@pytest.fixture
def there():
    return {f"{METADATA}http": secret(), f"{METADATA}users": secret()}


def test_secrets_that_are_there_are_ok(look, there):
    assert look(secrets_there, there).state == "ok"


def test_a_secret_that_was_deleted_is_undeleted(look, there):
    found = look(secrets_there, {**there, f"{METADATA}users": secret("2026-01-01T00:00:00Z")})

    assert found.what == "not in Vault: secret/data/docker-registry/users"
    assert found.fix == (
        "vault kv undelete -address=http://127.0.0.1:8200 -mount=secret -versions=3 docker-registry/users"
    )


GONE = {"status": 404, "body": {"errors": []}}


def test_a_secret_that_is_gone_is_made_again(look, there):
    found = look(secrets_there, {**there, f"{METADATA}http": GONE})

    assert (found.state, found.fix) == ("failure", "pulumi up --stack dev")


def test_a_secret_whose_version_is_destroyed_is_taken_away_first_so_that_the_provider_sees_it(look, there):
    found = look(secrets_there, {**there, f"{METADATA}http": secret(destroyed=True)})

    assert found.fix.splitlines() == [
        "vault kv metadata delete -address=http://127.0.0.1:8200 -mount=secret docker-registry/http",
        "pulumi up --stack dev",
    ]


@pytest.mark.parametrize("lost", [secret(destroyed=True), GONE])
def test_keys_that_are_gone_are_written_by_their_job_since_pulumi_does_not_read_them(look, there, lost):
    found = look(secrets_there, {**there, f"{METADATA}jwks": lost}, sections=VAULT)

    assert found.fix == "python -m ops keys refresh --stack dev"


def test_openbaos_command_is_named_where_only_that_is_installed(look, there, tmp_path):
    (tmp_path / "bao").write_text("#!/bin/sh\n")
    (tmp_path / "bao").chmod(0o755)
    deleted = {**there, f"{METADATA}users": secret("2026-01-01T00:00:00Z")}

    assert look(secrets_there, deleted, env={"PATH": str(tmp_path)}).fix.startswith("bao kv undelete ")


PATH = "secret/data/docker-registry/users"


@pytest.mark.parametrize(
    ("pattern", "capabilities", "is_read"),
    [
        ("secret/*", ["read"], True),
        ("secret/data/+/users", ["read"], True),
        ("secret/data/docker-registry/users", ["read"], True),
        ("*", ["create", "read"], True),
        ("secret/*", ["list"], False),
        ("secret/*", ["read", "deny"], False),
        ("secret/data/+", ["read"], False),
        ("secret/data/other/*", ["read"], False),
        ("secret/data/{{identity.entity.name}}/*", ["read"], False),
    ],
)
def test_a_policy_reads_what_its_patterns_cover(pattern, capabilities, is_read):
    policy = f'path "{pattern}" {{\n  capabilities = {json.dumps(capabilities)}\n}}\n'

    assert reads(policy, PATH) is is_read
    assert reads(json.dumps({"path": {pattern: {"capabilities": capabilities}}}), PATH) is is_read


def test_the_closest_rule_of_a_policy_counts():
    wide = 'path "secret/*" { capabilities = ["read"] }\n'
    closed = 'path "secret/data/docker-registry/*" { capabilities = ["deny"] }\n'

    assert not reads(wide + closed, PATH)
    assert not reads(closed + wide, PATH)


def test_old_words_and_comments_in_policies_are_understood():
    assert reads('path "secret/*" { policy = "write" }', PATH)
    assert not reads('path "secret/*" { policy = "deny" }', PATH)
    assert not reads('# path "secret/*" { capabilities = ["read"] }', PATH)


@pytest.fixture
def policies(look):
    """What the check finds if Vault has these policies beside its own."""

    def run(token=None, **others):
        own = {"root": "", "docker-registry": f'path "{PATH}" {{ capabilities = ["read"] }}'}
        known = {**own, **others}
        answers = {
            "/v1/sys/policies/acl": {"status": 200, "body": {"data": {"keys": list(known)}}},
            "/v1/auth/token/lookup-self": {
                "status": 200,
                "body": {"data": token or {"policies": ["default", "deployer"]}},
            },
        }
        for name, policy in known.items():
            answers[f"/v1/sys/policies/acl/{name}"] = {"status": 200, "body": {"data": {"policy": policy}}}
        return look(secrets_closed, answers)

    return run


WIDE = 'path "secret/*" { capabilities = ["read", "list"] }'


def test_a_policy_of_somebody_else_that_reads_the_secrets_is_a_warning(policies):
    found = policies(**{"homepage": WIDE, "ci": 'path "ci/*" { capabilities = ["read"] }'})

    assert found.state == "warning"
    assert found.what.startswith(
        "policy homepage reads secret/data/docker-registry/http, secret/data/docker-"
    )
    assert found.fix.startswith("vault policy read -address=http://127.0.0.1:8200 homepage")


@pytest.mark.parametrize("kind", ["mirrors", "gc", "gc-dry-run", "backup", "snapshots", "keys", "pull"])
def test_the_programs_own_policies_are_not_somebody_elses(policies, kind):
    assert policies(**{f"docker-registry-{kind}": WIDE}).state == "ok"


@pytest.mark.parametrize(
    "token",
    [
        {"policies": ["default", "deployer"], "identity_policies": None},
        {"policies": ["default"], "identity_policies": ["deployer"]},
    ],
    ids=["its own", "its entity's"],
)
def test_the_policies_of_who_deploys_are_not_somebody_elses(policies, token):
    assert policies(token, deployer=WIDE).state == "ok"


def test_a_policy_that_everybody_has_is_not_the_deployers_own(policies):
    assert policies(default=WIDE).what.startswith("policy default reads ")


def test_a_token_that_may_not_see_policies_leaves_it_unknown(look):
    refused = {"/v1/sys/policies/acl": {"status": 403, "body": {"errors": ["permission denied"]}}}

    assert look(secrets_closed, refused).state == "not looked at"


ROLE = {
    "bound_audiences": ["vault.io"],
    "bound_claims": {"nomad_namespace": "default", "nomad_job_id": ["docker-registry"]},
    "token_policies": ["docker-registry"],
}
WORKLOAD = {"vault": {"identity": "workload"}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"bound_audiences": ["vault.lan"]}, "audiences ['vault.lan'], not vault.io"),
        ({"bound_audiences": None}, "audiences None, not vault.io"),
        ({"bound_claims": {"nomad_job_id": "docker-registry"}}, "nomad_namespace None, not default"),
        ({"token_policies": ["default"]}, "policies ['default'], not docker-registry"),
    ],
)
def test_a_role_that_does_not_fit_the_jobs_identity_is_a_failure(look, changes, told):
    answer = {"status": 200, "body": {"data": {**ROLE, **changes}}}

    found = look(
        vault_role_fits, {"vault /v1/auth/jwt-nomad/role/docker-registry": answer}, sections=WORKLOAD
    )

    assert (found.state, found.fix) == (("failure", "pulumi up --stack dev") if told else ("ok", None))
    assert told is None or found.what == f"role docker-registry of auth/jwt-nomad has {told}"


def test_a_role_that_is_gone_is_made_again_and_without_identities_there_is_none(look):
    gone = look(vault_role_fits, sections=WORKLOAD)

    assert (gone.state, gone.fix) == ("failure", "pulumi up --stack dev")
    assert look(vault_role_fits).state == "not looked at"


def key_set(*names):
    return {"keys": [{"kid": name, "kty": "RSA"} for name in names]}


def stored(*names):
    text = json.dumps(key_set(*names), sort_keys=True, separators=(",", ":"))
    return {"status": 200, "body": {"data": {"data": {"jwks": text}}}}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (stored("a", "b"), "ok"),
        (stored("a"), "failure"),
        ({"status": 404, "body": {"errors": []}}, "failure"),
    ],
)
def test_keys_that_the_registry_does_not_know_are_fetched(look, answer, state):
    answers = {
        "/v1/identity/oidc/.well-known/keys": {"status": 200, "body": key_set("b", "a")},
        "/v1/secret/data/docker-registry/jwks": answer,
    }

    found = look(keys_current, answers, sections=VAULT)

    assert found.state == state
    assert found.fix == (None if state == "ok" else "python -m ops keys refresh --stack dev")


def test_without_tokens_of_vaults_there_are_no_keys(look):
    assert look(keys_current).state == "not looked at"
