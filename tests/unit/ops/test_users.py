import json

import bcrypt
import pytest


def stored(pulumi):
    return next(call for call in pulumi.calls if call["arguments"][:2] == ["config", "set"])


def test_a_password_is_stored_as_a_secret_bcrypt_hash_that_no_argument_shows(pulumi, ops):
    result = ops("users", "set", "alice", text="correct horse\n")

    call = stored(pulumi)
    assert result.exit_code == 0
    assert "--secret" in call["arguments"]
    assert 'docker-registry:auth.users["alice"]' in call["arguments"]
    assert call["stdin"].startswith("$2b$10$")
    assert bcrypt.checkpw(b"correct horse", call["stdin"].encode())
    assert not any("$2b$" in argument for argument in call["arguments"])


def test_setting_a_user_says_what_to_do_next(pulumi, ops):
    result = ops("users", "set", "alice", text="correct horse\n")

    assert result.output == "alice is set in stack dev; `pulumi up` makes it count\n"


def test_a_dot_in_a_name_separates_no_keys(pulumi, ops):
    ops("users", "set", 'a.b[0]"', text="correct horse\n")

    assert 'docker-registry:auth.users["a.b[0]\\""]' in stored(pulumi)["arguments"]


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "too short: give at least 8 characters"),
        ("short", "too short: give at least 8 characters"),
        ("é" * 37, "too long: bcrypt takes 72 bytes"),
    ],
)
def test_a_bad_password_is_refused_and_stored_nowhere(pulumi, ops, password, reason):
    result = ops("users", "set", "alice", text=f"{password}\n")

    assert result.exit_code == 2
    assert reason in result.output
    assert not any(call["arguments"][:2] == ["config", "set"] for call in pulumi.calls)


@pytest.mark.parametrize("name", ["a:b", "a b", ""])
def test_a_bad_name_is_refused(pulumi, ops, name):
    result = ops("users", "set", name, text="correct horse\n")

    assert result.exit_code == 2
    assert "a user name has no colon and no white space" in result.output


def test_users_are_listed_by_name_and_never_with_their_hashes(pulumi, ops, bcrypt_hash):
    pulumi.configure(
        {"docker-registry:auth": json.dumps({"users": {"bob": bcrypt_hash, "alice": bcrypt_hash}})}
    )

    assert ops("users", "list").output == "alice\nbob\n"
    assert json.loads(ops("users", "list", "--json").output) == ["alice", "bob"]


def test_a_stack_without_users_lists_none(pulumi, ops):
    assert ops("users", "list").output == ""
    assert ops("users", "list", "--json").output == "[]\n"


def test_a_user_is_removed_by_its_key(pulumi, ops, bcrypt_hash):
    pulumi.configure({"docker-registry:auth": json.dumps({"users": {"alice": bcrypt_hash}})})

    result = ops("users", "remove", "alice", "--stack", "homelab")

    assert result.exit_code == 0
    path = 'docker-registry:auth.users["alice"]'
    call = ["config", "rm", "--path", path, "--stack", "homelab", "--non-interactive"]
    assert pulumi.calls[-1]["arguments"] == call


def test_removing_an_unknown_user_names_the_known_ones(pulumi, ops, bcrypt_hash):
    pulumi.configure(
        {"docker-registry:auth": json.dumps({"users": {"bob": bcrypt_hash, "alice": bcrypt_hash}})}
    )

    result = ops("users", "remove", "carol")

    assert result.exit_code == 2
    assert "carol is not a user of stack dev; known are alice, bob" in result.output
