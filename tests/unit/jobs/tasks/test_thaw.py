import json

import pytest

from jobs.tasks import registry_mode
from jobs.tasks import thaw as script
from jobs.tasks.nomad_api import NomadError
from jobs.tasks.registry_mode import Answer
from jobs.tasks.store_size import remember

VARIABLE = "/v1/var/nomad/jobs/docker-registry"
MINE, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "data").mkdir()
    return {
        "REGISTRY_JOB": "docker-registry",
        "REGISTRY_TLS": "false",
        "NOMAD_ALLOC_ID": MINE,
        "NOMAD_ALLOC_DIR": str(tmp_path),
    }


@pytest.fixture
def run(nomad, clock, monkeypatch, environment, capsys):
    """Run the script; gives its exit code and the lines that it printed."""
    monkeypatch.setattr(script.Nomad, "of_task", lambda _: nomad)

    def make():
        code = script.main(environment)
        printed = capsys.readouterr()
        return code, (printed.out + printed.err).splitlines()

    return make


def freeze(nomad, owner=MINE, **more):
    nomad.set(VARIABLE, {"mode": "read-only", "owner": owner, "job": "gc", "since": "now", **more})


def test_the_freeze_of_this_allocation_ends(run, nomad):
    freeze(nomad)

    code, lines = run()

    assert code == 0
    assert nomad.get(VARIABLE) is None
    assert lines[0].startswith("docker-registry is writable again")


def test_the_freeze_of_another_allocation_stays(run, nomad):
    freeze(nomad, OTHER)

    code, lines = run()

    assert (code, lines) == (0, ["there is no freeze of this job to end"])
    assert nomad.get(VARIABLE)["Items"]["owner"] == OTHER


def test_what_else_is_in_the_variable_stays(run, nomad, registry_server):
    freeze(nomad, note="mine")
    registry_server.variable = lambda: None

    run()

    assert nomad.get(VARIABLE)["Items"] == {"note": "mine"}


def test_a_change_of_the_variable_meanwhile_is_looked_at_again(run, nomad, registry_server):
    freeze(nomad)
    nomad.before_write.append(lambda: freeze(nomad, note="new"))
    registry_server.variable = lambda: None

    run()

    assert nomad.get(VARIABLE)["Items"] == {"note": "new"}


def test_a_registry_that_did_not_notice_the_end_is_started_again(run, nomad, registry_server):
    freeze(nomad)
    old, now = nomad.get(VARIABLE), registry_server.variable
    registry_server.variable = lambda: old
    nomad.on_restart = lambda: setattr(registry_server, "variable", now)

    code, lines = run()

    assert (code, len(nomad.restarted)) == (0, 1)
    assert lines[1].startswith("docker-registry is writable again")


def test_a_restart_that_nomad_refuses_does_not_hide_that_the_freeze_ended(run, nomad, registry_server):
    freeze(nomad)
    old = nomad.get(VARIABLE)
    registry_server.variable = lambda: old

    def refuse():
        raise NomadError("Nomad: PUT answered 403: Permission denied", 403)

    nomad.on_restart = refuse

    code, lines = run()

    assert (code, nomad.get(VARIABLE)) == (0, None)
    assert "Nomad: PUT answered 403: Permission denied" in lines
    assert any(line.startswith("ended the freeze, and docker-registry is not back yet") for line in lines)


def test_a_job_that_freezes_it_at_once_is_not_waited_for(nomad, clock, registry_server):
    freeze(nomad)
    old, now = nomad.get(VARIABLE), registry_server.variable
    registry_server.variable = lambda: old  # it has not started again yet

    def next_job():
        freeze(nomad, OTHER)
        registry_server.variable = now

    clock.at.append((2, next_job))

    assert "read-only for another reason" in script.thaw(nomad, "docker-registry", MINE, tls=False)
    assert 2 <= clock.now < 5


def test_a_registry_that_is_read_only_by_the_stack_is_not_waited_for(nomad, clock, registry_server):
    freeze(nomad)
    registry_server.always = True

    assert "read-only for another reason" in script.thaw(nomad, "docker-registry", MINE, tls=False)
    assert clock.now < 5


def test_a_registry_that_does_not_come_back_is_said(nomad, clock, registry_server):
    freeze(nomad)
    old = nomad.get(VARIABLE)
    registry_server.variable = lambda: old

    assert "`python -m ops why`" in script.thaw(nomad, "docker-registry", MINE, tls=False)


def test_the_last_line_tells_what_the_run_freed(run, nomad, environment, images):
    freeze(nomad)
    environment["STORE"] = str(images.directory)
    images.image("app", "1", "x" * 3000)
    remember(environment)
    for blob in images.root.glob("blobs/sha256/*/*/data"):
        if blob.stat().st_size == 3000:
            blob.unlink()

    code, lines = run()

    assert code == 0
    assert lines[-2] == "freed 1 blob, 2.9 KiB"
    assert json.loads(lines[-1]) == {"freed": {"blobs": 1, "bytes": 3000}}


def test_where_nothing_was_measured_nothing_is_told(run, nomad):
    freeze(nomad)

    assert len(run()[1]) == 1


def test_a_measure_that_a_kill_cut_does_not_keep_the_freeze_in_force(run, nomad, environment, tmp_path):
    freeze(nomad)
    environment["STORE"] = str(tmp_path / "store")
    (tmp_path / "data" / "size-before.json").write_text("")

    assert run()[0] == 0
    assert nomad.get(VARIABLE) is None


@pytest.fixture
def routed(environment, tmp_path, monkeypatch, clock):
    """Let Traefik have led to the registry before the freeze; what it answers from when on (s), in order."""
    environment["ROUTE"] = "registry.homelab.local:443"
    (tmp_path / "data" / "routed").touch()

    def answer(answers):
        def ask(route):
            assert route == environment["ROUTE"]
            return [each for since, each in answers if since <= clock.now][-1]

        monkeypatch.setattr(registry_mode, "answer_at", ask)

    return answer


def test_it_ends_only_when_traefik_leads_to_the_registry_again(run, nomad, clock, routed):
    freeze(nomad)
    routed([(0, Answer("read-only", MINE)), (2, None), (9, Answer("read-write", None))])

    code, lines = run()

    assert (code, lines[1]) == (0, f"Traefik leads to it after another {clock.now:.1f} s")
    assert 9 <= clock.now < 10


def test_a_traefik_that_does_not_come_back_is_said_and_not_waited_for_without_end(run, nomad, clock, routed):
    freeze(nomad)
    routed([(0, None)])

    code, lines = run()

    assert (code, nomad.get(VARIABLE)) == (0, None)
    assert lines[1].startswith("Traefik at registry.homelab.local:443 does not lead to it after 60 s")
    assert "`python -m ops doctor`" in lines[1]


def test_a_traefik_that_was_not_reached_before_tells_nothing(run, nomad, clock, routed, tmp_path):
    freeze(nomad)
    routed([(0, None)])
    (tmp_path / "data" / "routed").unlink()

    assert len(run()[1]) == 1
    assert clock.now < 5


def test_a_nomad_that_refuses_is_said(run, nomad, monkeypatch):
    def refuse(*_, **__):
        raise NomadError("Nomad: GET /v1/var/x answered 403: Forbidden", 403)

    monkeypatch.setattr(nomad, "get", refuse)

    code, lines = run()

    assert code == 1
    assert lines == ["cannot end the freeze: Nomad: GET /v1/var/x answered 403: Forbidden"]
