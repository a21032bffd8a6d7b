import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from waiting import until

from jobs.tasks import exporter as script
from jobs.tasks.bounded_server import BoundedServer
from jobs.tasks.certificate import CertificateError
from jobs.tasks.consul_check import ConsulError, Report
from jobs.tasks.exporter import Exporter, handler
from jobs.tasks.nomad_api import NomadError

DAY = 86_400
GC = {"job": "docker-registry-gc", "seconds": 8 * DAY}
DRILL = {"job": "docker-registry-drill", "seconds": 63 * DAY, "service": "registry-drill"}


@pytest.fixture
def submitted(nomad, monkeypatch):
    """Nomad that knows the jobs, since a moment."""
    ask = nomad.get
    jobs = {"/v1/job/docker-registry-gc", "/v1/job/docker-registry-drill"}
    monkeypatch.setattr(nomad, "get", lambda path: {"SubmitTime": 500 * 10**9} if path in jobs else ask(path))
    return nomad


@pytest.fixture
def samples(submitted, tmp_path):
    """What is told of a registry, by name and labels as they are written."""

    def ask(**changed):
        made = Exporter(
            **{
                "nomad": submitted,
                "registry": "docker-registry",
                "tls": False,
                "certificates": (),
                "volumes": {},
                "runs": {},
                "consul": "http://127.0.0.1:1",
                "consul_ca": None,
                "own_variable": "/v1/var/nomad/jobs/docker-registry-exporter",
                **changed,
            }
        )
        lines = [line for line in made.metrics().splitlines() if not line.startswith("#")]
        told = (line.rpartition(" ") for line in lines)
        return {name.removeprefix("docker_registry_"): float(value) for name, _, value in told}

    return ask


def record(nomad, **items):
    nomad.set("/v1/var/nomad/jobs/docker-registry-gc", items)


def test_a_registry_that_serves_is_told(samples):
    assert samples() == {
        "up": 1,
        "read_only": 0,
        'exporter_can_ask{part="registry"}': 1,
        'exporter_can_ask{part="volumes"}': 1,
    }


def test_a_freeze_is_seen_by_what_the_registry_answers(samples, nomad):
    nomad.set("/v1/var/nomad/jobs/docker-registry", {"mode": "read-only", "owner": "a1"})

    assert samples()["read_only"] == 1


def test_a_registry_that_is_away_is_neither_read_only_nor_writable(samples, nomad):
    nomad.allocations.clear()

    told = samples()

    assert told["up"] == 0
    assert "read_only" not in told


def test_a_nomad_that_does_not_answer_costs_its_own_part_alone(samples, nomad, monkeypatch, capsys, tmp_path):
    def away(path):
        raise NomadError("Nomad: GET /v1/job failed: refused")

    monkeypatch.setattr(nomad, "get", away)

    told = samples(volumes={"registry_data": tmp_path}, runs={"gc": GC})

    assert "up" not in told
    assert told['exporter_can_ask{part="registry"}'] == told['exporter_can_ask{part="run gc"}'] == 0
    assert told['exporter_can_ask{part="volumes"}'] == 1
    assert "registry: Nomad: GET /v1/job failed: refused" in capsys.readouterr().err


def test_a_run_that_went_well_is_due_again_within_its_schedule(samples, nomad):
    record(nomad, succeeded="10000")

    told = samples(runs={"gc": GC})

    assert told['last_success_timestamp_seconds{kind="gc"}'] == 10_000
    assert told['last_run_failed{kind="gc"}'] == 0
    assert told['due_timestamp_seconds{kind="gc"}'] == 10_000 + 8 * DAY


def test_a_run_that_failed_since_is_told_beside_the_last_good_one(samples, nomad):
    record(nomad, succeeded="10000", failed="20000")

    told = samples(runs={"gc": GC})

    assert told['last_run_failed{kind="gc"}'] == 1
    assert told['due_timestamp_seconds{kind="gc"}'] == 10_000 + 8 * DAY


def test_a_failure_before_the_last_good_run_is_over(samples, nomad):
    record(nomad, succeeded="20000", failed="10000")

    assert samples(runs={"gc": GC})['last_run_failed{kind="gc"}'] == 0


def test_a_job_that_never_ran_has_as_long_from_when_it_came(samples):
    told = samples(runs={"gc": GC})

    assert told['due_timestamp_seconds{kind="gc"}'] == 500 + 8 * DAY
    assert 'last_run_failed{kind="gc"}' not in told


def test_a_job_that_was_taken_up_again_has_as_long_from_then(samples, nomad):
    record(nomad, succeeded="100")

    told = samples(runs={"gc": GC})

    assert told['last_success_timestamp_seconds{kind="gc"}'] == 100
    assert told['due_timestamp_seconds{kind="gc"}'] == 500 + 8 * DAY


@pytest.fixture
def consul(monkeypatch):
    """What the check in Consul was last told; and which token asked."""
    answers = {}

    def last(check):
        answers["token"] = check.token
        if isinstance(answers["report"], ConsulError):
            raise answers["report"]
        return answers["report"]

    monkeypatch.setattr(script.ConsulCheck, "last", last)
    return answers


def test_a_drill_is_told_by_its_check(samples, consul):
    consul["report"] = Report(at=10_000, passed=True)

    told = samples(runs={"drill": DRILL})

    assert told['last_success_timestamp_seconds{kind="drill"}'] == 10_000
    assert told['due_timestamp_seconds{kind="drill"}'] == 10_000 + 63 * DAY


def test_a_drill_that_failed_is_told(samples, consul):
    consul["report"] = Report(at=10_000, passed=False)

    assert samples(runs={"drill": DRILL})['last_run_failed{kind="drill"}'] == 1


def test_a_drill_that_never_ran_is_due_from_when_its_job_came(samples, consul):
    consul["report"] = None

    told = samples(runs={"drill": DRILL})

    assert told['due_timestamp_seconds{kind="drill"}'] == 500 + 63 * DAY
    assert 'last_run_failed{kind="drill"}' not in told


def test_a_token_for_consul_may_be_in_the_exporters_own_variable(samples, consul, nomad):
    consul["report"] = None
    nomad.set("/v1/var/nomad/jobs/docker-registry-exporter", {"consul_token": "secret"})

    samples(runs={"drill": DRILL})

    assert consul["token"] == "secret"


def test_a_consul_that_refuses_costs_the_drill_alone(samples, consul, nomad):
    consul["report"] = ConsulError("Consul answered 403")
    record(nomad, succeeded="10000")

    told = samples(runs={"gc": GC, "drill": DRILL})

    assert told['exporter_can_ask{part="run drill"}'] == 0
    assert told['last_success_timestamp_seconds{kind="gc"}'] == 10_000


def test_each_certificate_is_asked_for_on_its_own(samples, monkeypatch):
    def validity(host, port, timeout):
        if host == "away":
            raise CertificateError("no certificate from away:443")
        return 1000.0, 2000.0

    monkeypatch.setattr(script, "validity", validity)

    told = samples(certificates=("away:443", "registry.lan:8443"))

    assert told['exporter_can_ask{part="certificate away:443"}'] == 0
    assert told['certificate_start_timestamp_seconds{address="registry.lan:8443"}'] == 1000
    assert told['certificate_expiry_timestamp_seconds{address="registry.lan:8443"}'] == 2000


def test_a_volume_is_told_by_the_file_system_that_it_is_on(samples, tmp_path):
    told = samples(volumes={"registry_data": tmp_path})

    assert told['volume_size_bytes{volume="registry_data"}'] > 0
    assert (
        told['volume_free_bytes{volume="registry_data"}'] <= told['volume_size_bytes{volume="registry_data"}']
    )


def test_a_volume_that_is_not_there_is_told_as_such(samples):
    told = samples(volumes={"registry_data": Path("/nowhere")})

    assert told['exporter_can_ask{part="volumes"}'] == 0


@pytest.fixture
def served():
    with serving(lambda: "a_total 1\n") as address:
        yield address


@contextmanager
def serving(metrics):
    server = BoundedServer(("127.0.0.1", 0), handler(metrics))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_metrics_are_served_as_prometheus_asks_for_them(served):
    answer = httpx.get(f"{served}/metrics")

    assert answer.text == "a_total 1\n"
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert httpx.get(served).status_code == 200
    assert httpx.get(f"{served}/debug").status_code == 404


def test_scrapes_are_made_one_at_a_time_and_who_would_wait_too_long_is_told(monkeypatch):
    monkeypatch.setattr(script, "QUEUE_SECONDS", 0.2)
    at_once, most, release = [], [], threading.Event()

    def metrics():
        at_once.append(1)
        most.append(len(at_once))
        release.wait(10)
        at_once.pop()
        return "a_total 1\n"

    with serving(metrics) as address, ThreadPoolExecutor(4) as pool:
        scrapes = [pool.submit(httpx.get, f"{address}/metrics", timeout=20) for _ in range(4)]
        until(lambda: sum(each.done() for each in scrapes) == 3)
        assert httpx.get(address).status_code == 200, "the health check waits for no scrape"
        release.set()
        told = sorted(each.result().status_code for each in scrapes)

    assert told == [200, 503, 503, 503]
    assert set(most) == {1}


def test_a_scrape_that_fails_leaves_the_next_one_alone():
    answers = [ZeroDivisionError(), "a_total 1\n"]

    def metrics():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with serving(metrics) as address:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/metrics")
        assert httpx.get(f"{address}/metrics").text == "a_total 1\n"
