import pytest

from checks.doctor.examination import examine
from checks.doctor.facts import Facts

NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    """How many seconds pass before a failure is looked for again; tests of what stays wrong look once."""

    def set_pauses(*pauses):
        monkeypatch.setattr("checks.doctor.examination._PAUSES", pauses)

    set_pauses()
    return set_pauses


@pytest.fixture
def well(recorded, good, web_server):
    """Answers of servers and of a registry with which nothing is wrong."""
    answers = {**recorded("healthy"), **good}
    server = web_server(body="", headers={"X-Registry-Mode": "read-write"})
    [instance] = answers["/v1/health/service/registry"]["body"]
    instance["Service"].update(Address="127.0.0.1", Port=server.port)
    return answers


@pytest.fixture
def look(servers, ready, well):
    """Have one check look at servers that are well but for some answers; what it finds."""

    def run(check, answers=None, env=None, traefik_api=None, *, write=False, write_up_to=0, **settings):
        chosen = ready(**settings)
        facts = Facts(
            settings=chosen,
            servers=servers(chosen, {**well, **(answers or {})}),
            env=env or {},
            traefik_api=traefik_api,
            write=write,
            write_up_to=write_up_to,
            clock=lambda: NOW,
        )
        [found] = examine(facts, [check])
        return found.finding

    return run
