import json

import pytest

from jobs.tasks.refresh_jwks import WAITS, main

KEYS, SECRET = "GET identity/oidc/.well-known/keys", "secret/data/docker-registry/jwks"
OLD, NEXT, NEWEST = ({"kid": kid, "kty": "EC", "alg": "ES256", "x": kid, "y": kid} for kid in ("a", "b", "c"))


def text(*keys):
    return json.dumps({"keys": list(keys)}, sort_keys=True, separators=(",", ":"))


def stored(version, content):
    return 200, {"data": {"data": {"jwks": content}, "metadata": {"version": version}}}


@pytest.fixture
def refresh(vault, environment, waits, capsys):
    """Run the script; gives its exit code and what it printed."""
    vault.answers[f"POST {SECRET}"] = (200, {"data": {"version": 8}})

    def run():
        code = main({**environment, "JWKS_PATH": SECRET})
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_a_new_key_is_written_on_top_of_the_version_that_was_read(vault, refresh):
    vault.answers[KEYS] = (200, {"keys": [NEXT, OLD]})
    vault.answers[f"GET {SECRET}"] = stored(7, text(OLD))

    assert refresh() == (0, "changed: a, b\n")
    assert vault.sent("POST", SECRET) == [
        ("nomads-token", {"options": {"cas": 7}, "data": {"jwks": text(OLD, NEXT)}})
    ]


def test_the_same_keys_in_another_order_are_not_written(vault, refresh):
    vault.answers[KEYS] = (200, {"keys": [NEXT, OLD]})
    vault.answers[f"GET {SECRET}"] = stored(7, text(OLD, NEXT))

    assert refresh() == (0, "unchanged: a, b\n")
    assert vault.sent("POST", SECRET) == []


def test_a_key_that_vault_still_publishes_stays_and_one_that_it_dropped_goes(vault, refresh):
    vault.answers[KEYS] = (200, {"keys": [NEWEST, NEXT]})
    vault.answers[f"GET {SECRET}"] = stored(7, text(OLD, NEXT))

    refresh()
    ((_, body),) = vault.sent("POST", SECRET)
    assert body["data"]["jwks"] == text(NEXT, NEWEST)


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ((404, {"errors": []}), 0),
        ((404, {"data": {"data": None, "metadata": {"version": 3, "deletion_time": "2026-01-01"}}}), 3),
    ],
    ids=["never written", "deleted"],
)
def test_a_secret_that_is_not_there_is_written(vault, refresh, answer, version):
    vault.answers[KEYS] = (200, {"keys": [OLD]})
    vault.answers[f"GET {SECRET}"] = answer

    assert refresh()[0] == 0
    ((_, body),) = vault.sent("POST", SECRET)
    assert body["options"] == {"cas": version}


def test_a_run_that_was_overtaken_reads_again(vault, refresh, waits):
    vault.answers[KEYS] = (200, {"keys": [OLD, NEXT]})
    vault.answers[f"GET {SECRET}"] = stored(7, text(OLD))

    def overtaken(_):
        vault.answers[f"GET {SECRET}"] = stored(8, text(OLD, NEXT))
        return 400, {"errors": ["check-and-set parameter did not match the current version"]}

    vault.answers[f"POST {SECRET}"] = overtaken

    code, printed = refresh()
    assert code == 0
    assert "check-and-set parameter did not match" in printed and "unchanged: a, b" in printed
    assert waits == [1]


def test_an_empty_key_set_never_replaces_a_good_one(vault, refresh):
    vault.answers[KEYS] = (200, {"keys": []})
    vault.answers[f"GET {SECRET}"] = stored(7, text(OLD))

    code, printed = refresh()
    assert code == 1
    assert "Vault publishes no key" in printed
    assert vault.sent("POST", SECRET) == []


def test_a_refusal_is_told_with_vaults_words_after_a_few_tries_and_without_the_token(vault, refresh, waits):
    vault.answers[KEYS] = (200, {"keys": [OLD]})
    vault.answers[f"GET {SECRET}"] = (403, {"errors": ["1 error occurred: permission denied"]})

    code, printed = refresh()
    assert code == 1
    assert (
        f"Vault at {vault.address}: GET {SECRET} answered 403: 1 error occurred: permission denied" in printed
    )
    assert "gave up" in printed and "nomads-token" not in printed
    assert waits == list(WAITS)


def test_without_an_answer_the_address_is_named(refresh, environment):
    environment["VAULT_ADDR"] = "http://127.0.0.1:9"

    code, printed = refresh()
    assert code == 1
    assert "Vault at http://127.0.0.1:9: GET identity/oidc/.well-known/keys failed: " in printed
    assert "refused" in printed
