import json

import pytest

from jobs.tasks import evict_mirrors
from jobs.tasks.evict_mirrors import Mirrors, answers, relieve
from jobs.tasks.nomad_api import NomadError

REPORT = {"removed": 3, "bytes": 80}
LOG = f"removed 3 images\n{json.dumps(REPORT)}\n"


def allocation(name, group="hub", *, state="running", desired="run", evicted=True):
    tasks = {
        "evict": {"State": "dead" if evicted else "running"},
        "registry": {"State": "running" if evicted else "pending"},
    }
    return {
        "ID": name,
        "TaskGroup": group,
        "ClientStatus": state,
        "DesiredStatus": desired,
        "TaskStates": tasks,
    }


class Nomad:
    """Plays Nomad: each list of allocations in turn, the last one for ever."""

    def __init__(self, *lists, log=LOG):
        self.lists, self.log, self.stopped, self.logs = list(lists), log, [], []

    def get(self, path):
        assert path == "/v1/job/registry-mirrors/allocations"
        return self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]

    def put(self, path, body):
        self.stopped.append(path)

    def text(self, path, **parameters):
        self.logs.append((path, parameters["task"]))
        return self.log


@pytest.fixture
def told(tmp_path, monkeypatch, clock):
    """Measure one mirror whose cache has 100 bytes, and whose upstream answers."""
    monkeypatch.setattr(evict_mirrors, "answers", lambda _: True)
    blob = tmp_path / "hub" / "docker/registry/v2/blobs/sha256/ab" / f"ab{'0' * 62}"
    blob.mkdir(parents=True)
    (blob / "data").write_bytes(b"x" * 100)

    def run(nomad, limit):
        mirrors = Mirrors(nomad=nomad, job="registry-mirrors", evict="evict")
        limits = {"hub": {"limit": limit, "upstream": "https://hub.example"}}
        return list(relieve(mirrors, tmp_path, limits))

    return run


def test_a_cache_below_its_limit_is_left_alone(told):
    nomad = Nomad([allocation("old")])

    assert told(nomad, 100) == [{"mirror": "hub", "limit": 100, "bytes": 100}]
    assert nomad.stopped == []


def test_a_mirror_above_it_is_placed_anew_and_its_evictions_report_is_told(told):
    gone = allocation("old", state="complete", desired="stop")
    nomad = Nomad(
        [allocation("other", "quay"), allocation("old")],
        [gone],
        [gone, allocation("new", state="pending", evicted=False)],
        [gone, allocation("new", evicted=False)],
        [gone, allocation("new")],
    )

    assert told(nomad, 99) == [{"mirror": "hub", "limit": 99, "bytes": 100, "evicted": REPORT}]
    assert nomad.stopped == ["/v1/allocation/old/stop"]
    assert nomad.logs == [("/v1/client/fs/logs/new", "evict")]


def test_without_its_upstream_a_mirror_would_not_start_so_it_is_left_alone(told, monkeypatch):
    monkeypatch.setattr(evict_mirrors, "answers", lambda _: False)
    nomad = Nomad([allocation("old")])

    (one,) = told(nomad, 99)

    assert one["problem"].startswith("left as it is: https://hub.example does not answer")
    assert nomad.stopped == []


def test_a_mirror_that_does_not_run_is_not_stopped(told):
    nomad = Nomad([allocation("old", state="failed")])

    assert told(nomad, 99)[0]["problem"].startswith("it does not run")
    assert nomad.stopped == []


def test_a_mirror_that_stays_away_is_told(told):
    nomad = Nomad([allocation("old")], [])

    assert "does not run again after 900 s" in told(nomad, 99)[0]["problem"]


def test_an_eviction_that_says_nothing_is_told(told):
    nomad = Nomad([allocation("old")], [allocation("new")], log="no json")

    assert "its eviction reported nothing" in told(nomad, 99)[0]["problem"]


def test_an_eviction_that_failed_is_told_as_a_problem(told):
    failed = {"problem": "the cache may be above its limit still: no space"}
    nomad = Nomad([allocation("old")], [allocation("new")], log=json.dumps(failed))

    assert told(nomad, 99)[0]["problem"] == failed["problem"]


def test_nomads_refusal_is_told_for_that_mirror(told):
    nomad = Nomad([allocation("old")])
    nomad.put = lambda *_: (_ for _ in ()).throw(NomadError("Nomad: PUT answered 403: Permission denied"))

    assert told(nomad, 99)[0]["problem"].endswith("Permission denied")


@pytest.mark.parametrize(("url", "expected"), [("http://127.0.0.1:1", False), ("nonsense", False)])
def test_an_upstream_that_is_not_there_does_not_answer(url, expected):
    assert answers(url) is expected


def test_an_upstream_that_asks_for_a_password_does_answer(vault):
    vault.answers["GET /v2/"] = (401, {})

    assert answers(vault.address) is True


def test_an_upstream_that_does_not_speak_http_does_not_answer(babbler):
    assert answers(babbler) is False
