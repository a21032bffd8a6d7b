from dataclasses import replace

from checks.dead_jobs import DeadJob
from checks.why import Failure, Revert, Why
from ops.terminal import written
from ops.why import lines

HEALTHY = Why(
    healthy=True,
    summary="job docker-registry version 4 runs and its checks pass",
    deployment=None,
    placement=[],
    dead=[],
    failures=[],
    checks=[],
    reverted=None,
)
FAILED = Why(
    healthy=False,
    summary="job docker-registry version 3: deployment failed: Failed due to progress deadline",
    deployment=None,
    placement=["1 node filtered: missing compatible host volumes"],
    failures=[
        Failure(
            allocation="fccfe01c-dccd",
            node="nas",
            version=3,
            at="2026-11-24T10:15:39+00:00",
            events=["Terminated: Exit Code: 2"],
            exit_code=2,
            stderr=["panic: no such driver"],
            stdout=[],
        )
    ],
    checks=["registry is critical: 503"],
    dead=[],
    reverted=Revert(running=4, submitted=3, retry="nomad job revert docker-registry 3"),
)


def test_a_healthy_registry_is_one_line():
    (line,) = map(written, lines(HEALTHY))

    assert line.endswith(": job docker-registry version 4 runs and its checks pass")


def test_a_failed_deploy_is_told_from_the_outside_in_and_ends_with_the_command_that_retries():
    told = list(map(written, lines(FAILED)))

    assert "deployment failed" in told[0]
    assert told[1:3] == ["Nomad found no place for it:", "  1 node filtered: missing compatible host volumes"]
    assert told[3] == "allocation fccfe01c on node nas, version 3, 2026-11-24T10:15:39+00:00, exit code 2:"
    assert told[4:7] == ["  Terminated: Exit Code: 2", "last lines of its stderr:", "  panic: no such driver"]
    assert told[7:9] == ["Consul's checks:", "  registry is critical: 503"]
    assert "version 3 was submitted last" in told[9]
    assert told[-1] == "  nomad job revert docker-registry 3"


def test_a_dead_job_beside_a_healthy_registry_is_told():
    dead = [DeadJob(job="docker-registry-mirrors", what="is dead: Driver Failure: Failed to pull")]

    told = list(map(written, lines(replace(HEALTHY, dead=dead))))

    assert told[1:] == [
        "Other jobs of the stack, which `pulumi up` starts:",
        "  job docker-registry-mirrors is dead: Driver Failure: Failed to pull",
    ]
