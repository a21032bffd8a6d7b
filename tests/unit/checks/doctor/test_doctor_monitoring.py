import pytest

from checks.doctor.monitoring import exporter_answers

JOB = "/v1/job/docker-registry-exporter"
SERVICE = "/v1/health/service/registry-exporter"
MONITORED = {"monitoring": {}}
IN_NOMAD = {
    "ID": "docker-registry-exporter",
    "Namespace": "default",
    "Type": "service",
    "Status": "running",
    "Stop": False,
    "Periodic": None,
    "ParameterizedJob": None,
    "Version": 0,
    "TaskGroups": [{"Name": "exporter", "Count": 1}],
}


def has(allocations=(), deployment=None, **job):
    """Answers of a Nomad that has the job."""
    latest = {"ID": "d1", "Status": deployment, "JobVersion": 0} if deployment else "null"
    return {
        JOB: {"status": 200, "body": {**IN_NOMAD, **job}},
        f"{JOB}/allocations": {"status": 200, "body": list(allocations)},
        f"{JOB}/deployment": {"status": 200, "body": latest},
    }


RUNS, STOPPED, DEAD = has(), has(Stop=True), has(deployment="failed", Status="dead")
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
        ({**service(), **DEAD}, "is not in Consul", "pulumi up --stack dev"),
        (service(), "is not in Consul", "pulumi up --stack dev"),
    ],
    ids=["critical", "without a place", "stopped", "dead", "never deployed"],
)
def test_an_exporter_that_does_not_serve_is_a_failure_with_what_mends_it(look, answers, what, fix):
    found = look(exporter_answers, answers, sections=MONITORED)

    assert (found.state, found.fix) == ("failure", fix)
    assert found.what == f"service registry-exporter {what}"


def test_a_stack_without_monitoring_has_no_exporter(look):
    assert look(exporter_answers).state == "not looked at"
