import json
import stat

import pytest

from jobs.tasks.refresh_pull_auth import main, refresh

TOKEN = "identity/oidc/token/docker-registry-ci"
ROLE = "auth/docker-registry-approle/role/docker-registry-pull"
LOGIN = "auth/docker-registry-approle/login"


class EndOfTestError(Exception):
    pass


@pytest.fixture
def given(vault, environment, tmp_path):
    """The environment of a task whose own token has an entity, and a Vault that signs."""
    vault.answers[f"GET {TOKEN}"] = (200, {"data": {"token": "signed.by.vault", "ttl": 900}})
    return {
        **environment,
        "TOKEN_PATH": TOKEN,
        "ADDRESSES": "registry.lan:5000 registry.lan",
        "AUTH_FILE": str(tmp_path / "config.json"),
    }


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.json"


def auths(file):
    return json.loads(file.read_text())["auths"]


def test_the_file_has_the_token_for_every_address_and_only_its_owner_reads_it(given, file):
    refresh(given)

    assert auths(file) == {
        "registry.lan:5000": {"registrytoken": "signed.by.vault"},
        "registry.lan": {"registrytoken": "signed.by.vault"},
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir() if each.is_file()] == ["config.json"]


def test_the_next_token_comes_at_half_of_this_ones_life(given):
    assert refresh(given) == 450


def test_other_entries_of_the_file_stay(given, file):
    file.write_text(json.dumps({"auths": {"docker.io": {"auth": "eDp5"}}, "credHelpers": {"a": "b"}}))

    refresh(given)
    assert auths(file)["docker.io"] == {"auth": "eDp5"}
    assert json.loads(file.read_text())["credHelpers"] == {"a": "b"}


@pytest.mark.parametrize("text", ["", "{}", '{"auths": null}'])
def test_a_file_without_log_ins_gets_the_token(given, file, text):
    file.write_text(text)

    refresh(given)
    assert "registry.lan" in auths(file)


@pytest.mark.parametrize("text", ['{"auths": {"docker.io": {"auth": "eDp5"},}}', "[]", '{"auths": "x"}'])
def test_a_file_with_a_mistake_stays_for_the_log_ins_in_it(given, file, text):
    file.write_text(text)

    with pytest.raises(OSError, match="is no configuration of docker"):
        refresh(given)
    assert file.read_text() == text


def test_a_token_without_entity_logs_in_by_the_approle_first(vault, given):
    vault.answers[f"GET {ROLE}/role-id"] = (200, {"data": {"role_id": "the-role"}})
    vault.answers[f"POST {ROLE}/secret-id"] = (200, {"data": {"secret_id": "the-secret"}})
    vault.answers[f"POST {LOGIN}"] = (200, {"auth": {"client_token": "of-the-approle"}})

    refresh({**given, "APPROLE": ROLE})
    assert vault.sent("GET", f"{ROLE}/role-id") == [("nomads-token", None)]
    assert vault.sent("POST", f"{ROLE}/secret-id") == [("nomads-token", {})]
    assert vault.sent("POST", LOGIN) == [(None, {"role_id": "the-role", "secret_id": "the-secret"})]
    assert vault.sent("GET", TOKEN) == [("of-the-approle", None)]


def test_while_vault_is_away_the_last_token_stays_and_tries_become_rarer(
    vault, given, file, capsys, monkeypatch
):
    refresh(given)
    vault.answers[f"GET {TOKEN}"] = (503, {"errors": ["Vault is sealed"]})
    waited = []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 8:
            raise EndOfTestError

    monkeypatch.setattr("time.sleep", wait)
    with pytest.raises(EndOfTestError):
        main(given)

    assert waited == [2, 4, 8, 16, 32, 60, 60, 60]
    assert auths(file)["registry.lan"] == {"registrytoken": "signed.by.vault"}
    assert "answered 503: Vault is sealed; the last token stays, again in 2 s" in capsys.readouterr().err


def test_after_vault_came_back_it_goes_on_as_before(vault, given, monkeypatch):
    good = vault.answers[f"GET {TOKEN}"]
    vault.answers[f"GET {TOKEN}"] = (503, {"errors": ["Vault is sealed"]})
    waited = []

    def wait(seconds):
        waited.append(seconds)
        vault.answers[f"GET {TOKEN}"] = good
        if len(waited) == 3:
            raise EndOfTestError

    monkeypatch.setattr("time.sleep", wait)
    with pytest.raises(EndOfTestError):
        main(given)

    assert waited == [2, 450, 450]


def test_no_token_is_printed(vault, given, capsys):
    refresh(given)

    printed = capsys.readouterr().out
    assert printed == "new token of 900 s for registry.lan:5000, registry.lan\n"
