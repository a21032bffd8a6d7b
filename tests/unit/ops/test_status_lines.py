from dataclasses import replace

from checks.dead_jobs import DeadJob
from checks.freeze import Hold
from checks.status import Allocation, Answer, Deployment, Status
from ops.status import lines
from ops.terminal import written

RUNNING = Status(
    healthy=True,
    instances=1,
    instances_wanted=1,
    job="docker-registry",
    job_state="running",
    job_version=4,
    deployment=Deployment(version=4, state="successful", description="Deployment completed successfully"),
    allocation=Allocation(id="1c953df6-0000", node="nas", version=4, state="running", restarts=1),
    service="registry",
    service_state="passing",
    answer=Answer(url="http://192.168.1.5:5000/", code=200, mode="read-only", error=None),
    freeze=Hold(owner="0f0f0f0f-1", job="docker-registry-gc", since="2026-01-01", owner_lives=True, index=7),
    bucket=None,
    volume="registry_data",
    volume_path="/volume1/registry_data",
    volume_node="nas",
    dead=[],
)
ABSENT = Status(
    healthy=False,
    instances=0,
    instances_wanted=0,
    job="docker-registry",
    job_state=None,
    job_version=None,
    deployment=None,
    allocation=None,
    service="registry",
    service_state=None,
    answer=None,
    freeze=None,
    bucket=None,
    volume="registry_data",
    volume_path=None,
    volume_node=None,
    dead=[],
)


def test_a_running_registry_is_told_in_a_line_a_part():
    told = dict(lines(RUNNING))

    assert "healthy" in written(told["registry"])
    assert told["job"] == "docker-registry version 4, running"
    assert told["deployment"] == "version 4, successful: Deployment completed successfully"
    assert told["allocation"] == "1c953df6 on nas, version 4, running, restarts 1"
    assert told["service"] == "registry, passing"
    assert told["answer"] == "http://192.168.1.5:5000/ 200, read-only"
    assert told["freeze"].startswith("read-only since 2026-01-01 for docker-registry-gc, allocation 0f0f0f0f")
    assert told["volume"] == "registry_data, /volume1/registry_data on nas"


def test_a_registry_that_is_not_there_names_the_next_command():
    told = dict(lines(ABSENT))

    assert "`python -m ops why`" in written(told["registry"])
    assert told["job"] == "docker-registry, not deployed"
    assert told["service"] == "registry, not registered in Consul"
    assert told["answer"] == told["allocation"] == told["deployment"] == told["freeze"] == "none"


def test_several_instances_are_counted_and_the_bucket_stands_for_the_volume():
    bucket = "http://s3.lan:8333/images"
    shared = replace(RUNNING, instances=2, instances_wanted=3, bucket=bucket, volume=None, volume_path=None)
    told = dict(lines(shared))

    assert told["instances"] == "2 of 3 run"
    assert told["bucket"] == bucket
    assert "volume" not in told


def test_a_dead_job_is_named_with_what_starts_it():
    dead = [DeadJob(job="docker-registry-gc", what="was stopped")]

    assert dict(lines(replace(RUNNING, dead=dead)))["dead"] == (
        "job docker-registry-gc was stopped; `pulumi up` starts it"
    )
