import pytest

from checks.errors import CheckError
from checks.freeze import Hold, held, thaw

VARIABLE, OWNER = "/v1/var/nomad/jobs/docker-registry", "11111111-2222-3333-4444-555555555555"
FROZEN = {"mode": "read-only", "owner": OWNER, "job": "docker-registry-gc/1", "since": "2026-01-01"}


def ok(body):
    return {"status": 200, "body": body}


def variable(index=7, **items):
    return ok({"ModifyIndex": index, "Items": items})


@pytest.fixture
def nomad(servers, ready):
    return lambda answers: servers(ready(), answers).nomad


@pytest.mark.parametrize(
    ("allocation", "lives"),
    [
        (ok({"ClientStatus": "running"}), True),
        (ok({"ClientStatus": "unknown"}), True),
        (ok({"ClientStatus": "failed"}), False),
        (ok({"ClientStatus": "lost"}), False),
        ({"status": 404, "body": "alloc not found"}, False),
    ],
)
def test_a_freeze_is_told_with_its_owner_and_whether_that_still_works(nomad, ready, allocation, lives):
    found = held(nomad({VARIABLE: variable(**FROZEN), f"/v1/allocation/{OWNER}": allocation}), ready())

    assert (found.job, found.owner, found.since) == ("docker-registry-gc/1", OWNER, "2026-01-01")
    assert found.owner_lives is lives


def test_a_freeze_by_hand_has_no_owner_that_could_live(nomad, ready):
    assert held(nomad({VARIABLE: variable(mode="read-only")}), ready()).owner_lives is None


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "body": "variable not found"},
        variable(note="mine"),
    ],
)
def test_without_a_freeze_nobody_holds_it(nomad, ready, answer):
    assert held(nomad({VARIABLE: answer}), ready()) is None


def test_a_token_that_may_not_see_it_is_told_so(nomad, ready):
    with pytest.raises(CheckError, match="Permission denied"):
        held(nomad({VARIABLE: {"status": 403, "body": "Permission denied"}}), ready())


SHOWN = Hold(owner=OWNER, job="docker-registry-gc/1", since="2026-01-01", owner_lives=False, index=7)


def test_a_token_that_may_not_see_it_is_told_what_it_needs(nomad, ready):
    with pytest.raises(
        CheckError, match="read, write and destroy on the variable nomad/jobs/docker-registry"
    ):
        held(nomad({VARIABLE: {"status": 403, "body": "Permission denied"}}), ready())


def thawed(nomad, ready, answer):
    """End the freeze that was shown, and give the request that wrote; the variable is now as in `answer`."""
    requests = []

    def record(request):
        requests.append(request)
        return answer if request.method == "GET" else ok({})

    thaw(nomad({VARIABLE: record}), ready(), SHOWN)
    return requests[-1]


def test_thaw_deletes_the_variable_if_nobody_changed_it(nomad, ready):
    request = thawed(nomad, ready, variable(**FROZEN))

    assert (request.method, request.url.params["cas"]) == ("DELETE", "7")


def test_thaw_leaves_what_else_is_in_the_variable(nomad, ready):
    request = thawed(nomad, ready, variable(**FROZEN, note="mine"))

    assert (request.method, request.url.params["cas"]) == ("POST", "7")
    assert request.content == b'{"Items":{"note":"mine"}}'


def test_only_the_freeze_that_was_shown_is_ended(nomad, ready):
    other = {**FROZEN, "owner": "99999999-2222-3333-4444-555555555555"}

    request = thawed(nomad, ready, variable(index=8, **other))

    assert request.url.params["cas"] == "7"  # Nomad refuses it: 409


@pytest.mark.parametrize(
    ("status", "told"), [(409, "`python -m ops status` shows it"), (403, "write and destroy")]
)
def test_a_thaw_that_nomad_refuses_says_what_to_do(nomad, ready, status, told):
    def refuse(request):
        return variable(mode="read-only") if request.method == "GET" else {"status": status, "body": "no"}

    with pytest.raises(CheckError, match=told):
        thaw(nomad({VARIABLE: refuse}), ready(), SHOWN)
