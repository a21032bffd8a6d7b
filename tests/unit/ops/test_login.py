import base64
import json
import re
from datetime import UTC, datetime

import pytest

END = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN_PATH = "/v1/identity/oidc/token/docker-registry-ci-app"
USERPASS = "/v1/auth/userpass/login/anna"
ADDRESSES = ["registry.homelab.local:5000", "registry.homelab.local"]
GRANTS = {
    "ci-app": {"repositories": {"ci/app": ["pull", "push"]}},
    "deploy": {"repositories": {"a": ["pull"]}},
}
OIDC = {"groups": {"developers": ["ci-app"], "admins": ["ci-app", "deploy"], "guests": ["deploy"]}}


def signed(claims):
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2lnbmVk"


SIGNED = signed({"exp": int(END.timestamp()), "aud": "registry.homelab.local"})


@pytest.fixture
def home(client_machine, vault):
    vault.answer(TOKEN_PATH, {"data": {"token": SIGNED, "ttl": 900}})
    return client_machine(auth={"mode": "vault", "grants": GRANTS})


@pytest.fixture
def vault_token(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.annas-own")


def auths(home):
    return json.loads((home / ".docker" / "config.json").read_text())["auths"]


def refusal(ops, *arguments, text=""):
    result = ops("login", "ci-app", "--stack", "dev", *arguments, text=text)
    assert result.exit_code == 1
    assert result.stdout == ""
    return str(result.exception)


def test_without_pulumi_and_its_state_docker_is_logged_in_to_every_address(ops, home, vault_token):
    result = ops("login", "ci-app", "--stack", "dev")

    assert result.exit_code == 0, result.exception
    assert auths(home) == {address: {"registrytoken": SIGNED} for address in ADDRESSES}
    assert result.stdout == ""
    assert "logged in to registry.homelab.local:5000 and registry.homelab.local" in result.stderr
    assert f"the token of ci-app is valid until {END.astimezone():%Y-%m-%d %H:%M:%S}" in result.stderr
    assert SIGNED not in result.stderr


def test_vault_is_asked_with_the_persons_token(ops, home, vault, vault_token):
    ops("login", "ci-app", "--stack", "dev")

    assert vault.asked == [("GET", TOKEN_PATH, "hvs.annas-own", {})]


def test_the_token_that_vault_login_left_is_taken(ops, home, vault):
    (home / ".vault-token").write_text("hvs.left\n")

    assert ops("login", "ci-app", "--stack", "dev").exit_code == 0
    assert vault.asked[0][2] == "hvs.left"


def test_print_gives_the_token_and_nothing_else_and_leaves_docker_alone(ops, home, vault_token):
    result = ops("login", "ci-app", "--stack", "dev", "--print")

    assert result.stdout == f"{SIGNED}\n"
    assert "valid until" in result.stderr
    assert not (home / ".docker").exists()


def test_the_selected_stack_is_taken_where_pulumi_is(ops, home, vault_token, pulumi, monkeypatch):
    (home / "python3").symlink_to("/usr/bin/python3")
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")

    assert ops("login", "ci-app").exit_code == 0
    assert [call["arguments"][:2] for call in pulumi.calls] == [["stack", "--show-name"]]


def test_an_unknown_grant_is_refused_with_the_known_ones(ops, home, vault):
    result = ops("login", "ci-ap", "--stack", "dev")

    assert result.exit_code == 2
    assert "ci-ap is no grant of stack dev; known are ci-app, deploy" in result.stderr
    assert vault.asked == []


def test_another_auth_mode_has_no_grants(ops, client_machine):
    client_machine(tls={"port": 8443})

    assert refusal(ops) == (
        "stack dev has auth.mode htpasswd, and grants are for mode vault; "
        "log in by `docker login registry.homelab.local:8443`"
    )


def test_a_root_token_is_refused_with_what_to_do(ops, home, vault, vault_token):
    vault.refuse(TOKEN_PATH, 400, "no entity associated with the request's token")

    assert refusal(ops) == (
        f"Vault at {vault.address} gives no token of ci-app: no entity associated with the request's token. "
        "A root token and one of `vault token create` belong to nobody; log in as a person or a machine: "
        "--method userpass, oidc or jwt"
    )


def test_a_person_without_the_grant_is_told_which_groups_have_it(ops, client_machine, vault, vault_token):
    client_machine(auth={"mode": "vault", "grants": GRANTS, "oidc": OIDC})
    vault.refuse(TOKEN_PATH, 403, "1 error occurred:\n\t* permission denied\n\n")
    vault.answer("/v1/auth/token/lookup-self", {"data": {}})

    assert refusal(ops) == (
        f"Vault at {vault.address} gives no token of ci-app: 1 error occurred: * permission denied. "
        "You do not have that grant: become a member of admins or developers, or let Vault's administrator "
        "give you the policy docker-registry-ci-app"
    )


def test_a_token_that_vault_does_not_know_is_another_reason(ops, home, vault, vault_token):
    vault.refuse(TOKEN_PATH, 403, "permission denied")
    vault.refuse("/v1/auth/token/lookup-self", 403, "permission denied")

    assert "does not accept the token in VAULT_TOKEN or ~/.vault-token" in refusal(ops)


def test_a_grant_that_is_not_deployed_is_said_to_be_so(ops, home, vault, vault_token):
    vault.refuse(TOKEN_PATH, 400, 'role "docker-registry-ci-app" not found')

    assert refusal(ops).endswith("not found. The grant is not deployed yet: `pulumi up`")


def test_without_any_token_the_ways_to_log_in_are_named(ops, home):
    assert refusal(ops) == (
        "there is no token for Vault in VAULT_TOKEN or ~/.vault-token: log in to Vault, "
        "or give --method userpass, oidc or jwt"
    )


def test_a_vault_that_is_not_there_is_named(ops, home, vault_token, tmp_path):
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:1", file.read_text()))

    assert "does not answer" in refusal(ops)


def test_a_password_from_standard_input_logs_in_and_its_vault_token_is_ended(ops, home, vault, vault_token):
    vault.answer(USERPASS, {"auth": {"client_token": "hvs.made"}})
    vault.answer("/v1/auth/token/revoke-self", "", 204)

    result = ops(
        "login", "ci-app", "--stack", "dev", "--method", "userpass", "--username", "anna", text="pw\n"
    )

    assert result.exit_code == 0, result.exception
    assert vault.asked == [
        ("POST", USERPASS, None, {"password": "pw"}),
        ("GET", TOKEN_PATH, "hvs.made", {}),
        ("POST", "/v1/auth/token/revoke-self", "hvs.made", {}),
    ]
    assert set(auths(home)) == set(ADDRESSES)


def test_a_wrong_password_is_refused_in_vaults_words_and_not_repeated(ops, home, vault):
    vault.refuse(USERPASS, 400, "invalid username or password")

    told = refusal(ops, "--method", "userpass", "--username", "anna", text="opensesame\n")

    assert (
        told == f"Vault at {vault.address} refuses the log-in at auth/userpass: invalid username or password"
    )


def test_a_mount_that_is_not_there_leads_to_the_option(ops, home, vault):
    vault.refuse("/v1/auth/people/login/anna", 403, "permission denied")

    told = refusal(ops, "--method", "userpass", "--username", "anna", "--mount", "people", text="pw\n")

    assert told.endswith("auth/people: permission denied; if there is no such mount, --mount names another")


def test_a_log_in_by_password_needs_a_name(ops, home):
    result = ops("login", "ci-app", "--stack", "dev", "--method", "userpass", text="pw\n")

    assert result.exit_code == 2
    assert "method userpass needs --username" in result.stderr


@pytest.mark.parametrize("from_file", [True, False])
def test_a_jwt_comes_from_a_file_or_from_standard_input(ops, home, vault, tmp_path, from_file):
    (tmp_path / "jwt").write_text("e30.e30.sig\n")
    source = ["--jwt-file", str(tmp_path / "jwt")] if from_file else []
    vault.answer("/v1/auth/jwt-ci/login", {"auth": {"client_token": "hvs.made"}})

    result = ops(
        *("login", "ci-app", "--stack", "dev", "--method", "jwt", "--role", "builder", "--mount", "jwt-ci"),
        *source,
        text="" if from_file else "e30.e30.sig\n",
    )

    assert result.exit_code == 0, result.exception
    assert vault.asked[0][3] == {"jwt": "e30.e30.sig", "role": "builder"}


def test_logging_out_removes_the_stacks_tokens_only(ops, home, vault_token):
    folder = home / ".docker"
    folder.mkdir()
    (folder / "config.json").write_text('{"auths": {"docker.io": {"auth": "YTpi"}}}')
    ops("login", "ci-app", "--stack", "dev")

    result = ops("logout", "--stack", "dev")

    assert result.exit_code == 0
    assert "logged out of registry.homelab.local:5000 and registry.homelab.local" in result.stderr
    assert auths(home) == {"docker.io": {"auth": "YTpi"}}


def test_logging_out_twice_says_that_there_is_nothing(ops, home):
    result = ops("logout", "--stack", "dev")

    assert result.exit_code == 0
    assert "has no token for registry.homelab.local:5000 or registry.homelab.local" in result.stderr
