import pytest

from checks.doctor.monitoring import exporter_answers

JOB = "/v1/job/docker-registry-exporter"
SERVICE = "/v1/health/service/registry-exporter"
MONITORED = {"monitoring": {}}
RUNS = {JOB: {"status": 200, "body": {"Stop": False}}}
STOPPED = {JOB: {"status": 200, "body": {"Stop": True}}}
STATUS = "nomad job status -address=http://127.0.0.1:4646 -namespace=default docker-registry-exporter"


def service(*states):
    return {SERVICE: {"status": 200, "body": [{"Checks": [{"Status": state}]} for state in states]}}


def test_an_exporter_that_passes_its_check_is_ok(look):
    assert look(exporter_answers, service("passing"), sections=MONITORED).state == "ok"


@pytest.mark.parametrize(
    ("answers", "what", "fix"),
    [
        ({**service("critical"), **RUNS}, "is critical", STATUS),
        ({**service(), **RUNS}, "is not in Consul", STATUS),
        ({**service(), **STOPPED}, "is not in Consul", "pulumi up --stack dev"),
        (service(), "is not in Consul", "pulumi up --stack dev"),
    ],
    ids=["critical", "without a place", "stopped", "never deployed"],
)
def test_an_exporter_that_does_not_serve_is_a_failure_with_what_mends_it(look, answers, what, fix):
    found = look(exporter_answers, answers, sections=MONITORED)

    assert (found.state, found.fix) == ("failure", fix)
    assert found.what == f"service registry-exporter {what}"


def test_a_stack_without_monitoring_has_no_exporter(look):
    assert look(exporter_answers).state == "not looked at"
