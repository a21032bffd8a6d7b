import threading

import pytest

from checks.doctor.examination import CHECKS, examine
from checks.doctor.facts import Facts, once
from checks.doctor.finding import Told, ok, split
from checks.errors import CheckError


@pytest.fixture
def facts(servers, ready, well):
    settings = ready()
    return Facts(settings=settings, servers=servers(settings, well), env={})


def test_every_check_tells_its_title_symptom_cause_and_fix():
    told = [Told.of(check) for check in CHECKS]

    assert len({each.id for each in told}) == len(told)
    for each in told:
        assert all((each.title, each.symptom, each.cause, each.fix)), each.id


def test_a_check_that_cannot_look_says_so_and_is_not_ok(facts):
    def unreachable(_):
        raise CheckError("Nomad does not answer\nmore words")

    [found] = examine(facts, [unreachable])

    assert (found.finding.state, found.finding.what) == ("not looked at", "Nomad does not answer")


def test_an_odd_answer_to_one_check_hides_no_other_finding(facts):
    def surprised(_):
        raise KeyError("Status")

    def well(_):
        return ok("fine")

    found = examine(facts, [surprised, well])

    assert [each.finding.state for each in found] == ["not looked at", "ok"]
    assert found[0].finding.what == "KeyError: 'Status'"


def test_checks_run_side_by_side(facts):
    meet = threading.Barrier(2, timeout=5)

    def waits(_):
        meet.wait()
        return ok("met")

    assert [each.finding.state for each in examine(facts, [waits, waits])] == ["ok", "ok"]


def test_a_question_of_several_checks_is_asked_once_and_fails_for_all(facts):
    asked = []

    class Asking(Facts):
        @once
        def slow(self):
            asked.append(1)
            raise CheckError("no answer")

    facts.__class__ = Asking
    found = examine(facts, [lambda each: each.slow()] * 5)

    assert len(asked) == 1
    assert {each.finding.what for each in found} == {"no answer"}


@pytest.mark.parametrize(
    ("problem", "what", "fix"),
    [
        ("Vault at A is sealed: `vault operator unseal`", "Vault at A is sealed", "vault operator unseal"),
        ("no space x: `nomad x apply`, or set x", "no space x", "nomad x apply   # or set x"),
        ("too old: set vault.identity to workload", "too old", "set vault.identity to workload"),
        ("no client offers it.\n  1. add\n  2. restart", "no client offers it.", "  1. add\n  2. restart"),
        ("use another", "use another", "use another"),
    ],
)
def test_a_message_is_taken_apart_into_what_is_wrong_and_what_to_do(problem, what, fix):
    assert split(problem) == (what, fix)
