import pytest

from jobs.tasks import freeze as script
from jobs.tasks.freeze_record import Freeze
from jobs.tasks.registry_mode import Answer

VARIABLE = "/v1/var/nomad/jobs/docker-registry"
MINE, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.fixture
def run(nomad, clock, monkeypatch, tmp_path, capsys):
    """Run the script in an allocation; gives its exit code and what it printed."""
    monkeypatch.setattr(script.Nomad, "of_task", lambda _: nomad)
    (tmp_path / "data").mkdir()

    def make(node="nas", previous=None, **environment):
        more = {"PreviousAllocation": previous} if previous else {}
        nomad.add(MINE, "docker-registry-gc/1", NodeID=node, **more)
        code = script.main(
            {
                "REGISTRY_JOB": "docker-registry",
                "REGISTRY_TLS": "false",
                "SHARES_VOLUME": "true",
                "NOMAD_ALLOC_ID": MINE,
                "NOMAD_JOB_ID": "docker-registry-gc/1",
                "NOMAD_ALLOC_DIR": str(tmp_path),
                **environment,
            }
        )
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return make


@pytest.fixture
def marked_as(tmp_path):
    return lambda name: (tmp_path / "data" / name).exists()


@pytest.fixture
def marked(marked_as):
    return lambda: marked_as("frozen")


def items(nomad):
    found = nomad.get(VARIABLE)
    return found and found["Items"]


def test_it_waits_for_the_task_that_looks_whether_there_is_a_use_in_it(run, nomad, clock, tmp_path):
    looked = tmp_path / "data" / "look"
    clock.at.append((3, lambda: (looked.touch(), seen.append(items(nomad)))))
    seen = []

    assert run(AFTER="look")[0] == 0
    assert seen == [None]
    assert items(nomad)["owner"] == MINE


def held_by(nomad, owner, **more):
    nomad.set(VARIABLE, {"mode": "read-only", "owner": owner, "job": "docker-registry-backup", **more})


def test_the_registry_is_read_only_and_the_variable_names_who_did_it(run, nomad, marked):
    code, printed = run()

    assert code == 0, printed
    assert items(nomad) == {
        "mode": "read-only",
        "owner": MINE,
        "job": "docker-registry-gc/1",
        "since": items(nomad)["since"],
    }
    assert marked()


ROUTE = "registry.homelab.local:443"


@pytest.mark.parametrize(
    ("told", "routed"), [(Answer("read-write", None), True), (None, False)], ids=["answers", "is away"]
)
def test_it_is_remembered_whether_traefik_led_to_it_before(run, marked_as, monkeypatch, told, routed):
    monkeypatch.setattr(script, "answer_at", lambda route: told if route == ROUTE else None)

    assert run(ROUTE=ROUTE)[0] == 0
    assert marked_as("routed") is routed


def test_what_else_is_in_the_variable_stays(run, nomad):
    nomad.set(VARIABLE, {"note": "mine"})

    assert run()[0] == 0
    assert items(nomad)["note"] == "mine"


def test_another_job_that_works_is_waited_for(run, nomad, clock):
    nomad.add(OTHER, "docker-registry-backup")
    held_by(nomad, OTHER)
    clock.at.append((600, nomad.variables.clear))

    code, printed = run()

    assert code == 0
    assert "waiting: docker-registry-backup holds the registry read-only" in printed
    assert printed.count("waiting") == 1
    assert clock.now >= 600
    assert items(nomad)["owner"] == MINE


@pytest.mark.parametrize("status", ["complete", "failed", "lost"])
def test_a_freeze_whose_owner_has_ended_is_taken_over(run, nomad, status):
    nomad.add(OTHER, "docker-registry-backup", status)
    held_by(nomad, OTHER)

    code, printed = run()

    assert (code, items(nomad)["owner"]) == (0, MINE)
    assert "took over the freeze that docker-registry-backup left" in printed


def test_a_freeze_whose_owner_is_gone_is_taken_over(run, nomad):
    held_by(nomad, OTHER)

    assert run()[0] == 0
    assert items(nomad)["owner"] == MINE


def test_a_freeze_by_hand_is_never_taken_over(run, nomad, clock):
    held_by(nomad, "me")

    code, printed = run()

    assert code == 1
    assert "somebody holds the registry read-only" in printed and "`python -m ops thaw`" in printed
    assert items(nomad)["owner"] == "me"
    assert clock.now > script.LONGEST_WAIT_SECONDS


def test_of_two_jobs_that_find_it_free_the_second_waits(run, nomad, clock):
    nomad.add(OTHER, "docker-registry-backup")
    nomad.before_write.append(lambda: held_by(nomad, OTHER))
    clock.at.append((100, nomad.variables.clear))

    code, _ = run()

    assert code == 0
    assert clock.now >= 100


def test_a_registry_that_does_not_become_read_only_is_let_go(run, nomad, registry_server, marked):
    registry_server.variable = lambda: None

    code, printed = run()

    assert code == 1
    assert "does not answer read-only" in printed and "`python -m ops status`" in printed
    assert items(nomad) is None
    assert not marked()


def test_the_end_of_another_freeze_that_the_registry_has_not_heard_of_is_not_taken_for_ones_own(
    run, nomad, clock, registry_server
):
    now = registry_server.variable
    held_by(nomad, OTHER)
    old = nomad.get(VARIABLE)
    nomad.variables.clear()
    registry_server.variable = lambda: old  # read-only, for the job that has just ended
    clock.at.append((20, lambda: setattr(registry_server, "variable", now)))

    assert run()[0] == 0
    assert clock.now >= 20


def test_a_registry_that_did_not_notice_the_freeze_is_started_again(run, nomad, clock, registry_server):
    now = registry_server.variable
    registry_server.variable = lambda: None
    nomad.on_restart = lambda: setattr(registry_server, "variable", now)

    code, printed = run()

    assert code == 0
    assert nomad.restarted == [("/v1/client/allocation/r1/restart", {"TaskName": "registry"})]
    assert "allocation r1 did not notice the change: starting it again" in printed
    assert 20 < clock.now < 25


def test_a_registry_that_takes_long_to_come_back_is_not_started_again(run, nomad, clock, registry_server):
    (_, port) = nomad.allocations["r1"]["AllocatedResources"]["Shared"]["Ports"]
    port["Value"] = 1  # where nobody listens
    clock.at.append((100, lambda: port.update(Value=registry_server.port)))

    assert run()[0] == 0
    assert nomad.restarted == []


def test_a_registry_that_is_always_read_only_has_to_tell_of_the_freeze_too(run, nomad, registry_server):
    registry_server.always, registry_server.variable = True, lambda: None

    assert "does not answer read-only" in run()[1]


def test_every_allocation_of_the_registry_has_to_tell_of_it(run, nomad, clock):
    away = {"Label": "registry", "HostIP": "127.0.0.1", "Value": 1}
    nomad.add("r2", "docker-registry", AllocatedResources={"Shared": {"Ports": [away]}})
    clock.at.append((30, lambda: nomad.allocations.pop("r2")))

    assert run()[0] == 0
    assert clock.now >= 30


def test_a_registry_that_does_not_run_is_not_frozen(run, nomad):
    nomad.allocations["r1"]["ClientStatus"] = "failed"

    code, printed = run()

    assert (code, items(nomad)) == (1, None)
    assert "job docker-registry does not run" in printed


def test_on_another_node_than_the_registrys_nothing_is_done(run, nomad):
    code, printed = run(node="desktop")

    assert (code, items(nomad)) == (1, None)
    assert "only one Nomad client may offer the volume" in printed


def test_without_a_volume_the_registry_may_run_on_any_node(run, nomad):
    code, printed = run(node="desktop", SHARES_VOLUME="false")

    assert (code, items(nomad)["owner"]) == (0, MINE), printed


def test_after_a_failed_allocation_its_freeze_is_ended_and_its_work_is_not_done_again(run, nomad, marked):
    held_by(nomad, OTHER)

    code, printed = run(previous=OTHER)

    assert (code, items(nomad)) == (1, None)
    assert "allocation 22222222 failed" in printed and "writable again" in printed
    assert not marked()


def test_after_an_allocation_that_failed_the_freeze_of_another_job_stays(run, nomad):
    held_by(nomad, "33333333-3333-3333-3333-333333333333")

    assert run(previous=OTHER)[0] == 1
    assert items(nomad)["owner"].startswith("3333")


def test_a_freeze_that_is_this_allocations_already_is_kept(nomad, clock):
    held_by(nomad, MINE)
    before = nomad.index

    script.take(nomad, VARIABLE, Freeze(owner=MINE, job="docker-registry-gc/1", since="now"))

    assert nomad.index == before


def test_the_store_is_measured_once_it_is_frozen(run, tmp_path, images):
    images.image("app", "1")

    assert run(STORE=str(images.directory))[0] == 0
    assert (tmp_path / "data" / "size-before.json").exists()
