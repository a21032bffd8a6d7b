import copy

import pytest

from checks.doctor.facts import Facts
from checks.doctor.machine import cpu_limits, docker_storage, port_free

JOB = "/v1/job/docker-registry"


@pytest.fixture
def engine(monkeypatch):
    def of(**info):
        found = {"Driver": "overlay2", "ServerVersion": "20.10.24", "CpuCfsQuota": True, **info}
        monkeypatch.setattr(Facts, "engine", lambda _: found)

    return of


@pytest.mark.parametrize(("driver", "state"), [("overlay2", "ok"), ("btrfs", "ok"), ("vfs", "warning")])
def test_a_storage_driver_that_copies_every_layer_is_a_warning(look, engine, driver, state):
    engine(Driver=driver)

    assert look(docker_storage).state == state


@pytest.fixture
def limited(well):
    answer = copy.deepcopy(well[JOB])
    answer["body"]["TaskGroups"] = [{"Count": 1, "Tasks": [{"Config": {"cpu_hard_limit": True}}]}]
    return {JOB: answer}


@pytest.mark.parametrize(("quota", "state"), [(True, "ok"), (False, "failure")])
def test_a_cpu_quota_on_a_kernel_without_it_is_a_failure(look, engine, limited, quota, state):
    engine(CpuCfsQuota=quota)

    assert look(cpu_limits, limited).state == state


ELSEWHERE = "192.0.2.7"  # an address of no machine (RFC 5737)


def test_the_engine_here_says_nothing_of_a_registry_on_another_machine(look, engine, limited, good):
    engine(Driver="vfs", CpuCfsQuota=False)
    [node] = good["nomad /v1/nodes"]["body"]
    away = {"nomad /v1/nodes": {"status": 200, "body": [{**node, "Address": ELSEWHERE}]}}

    for check in (docker_storage, cpu_limits):
        found = look(check, {**limited, **away})
        assert found.state == "not looked at"
        assert found.what == f"the registry is on nas ({ELSEWHERE}), not on this machine"


def test_the_engine_here_says_nothing_of_a_registry_that_is_to_run_on_the_machine_with_the_volume(
    look, engine, limited
):
    engine(Driver="vfs")
    host = {"address": ELSEWHERE, "hostKey": "ssh-ed25519 AAAA"}
    nowhere = {f"{JOB}/allocations": {"status": 200, "body": []}}

    found = look(docker_storage, nowhere, sections={"storage": {"path": "/srv/images", "host": host}})

    assert (found.state, found.what) == ("not looked at", f"the registry is to run on {ELSEWHERE}")


def test_our_own_job_asks_for_no_cpu_quota(look, well):
    job = copy.deepcopy(well[JOB])
    job["body"]["TaskGroups"] = [{"Tasks": [{"Config": {"image": "registry:3"}}]}]

    assert look(cpu_limits, {JOB: job}).state == "ok"


def test_a_port_that_another_program_has_is_told_with_its_name(look, recorded, web_server):
    port = web_server(body="", headers={"Server": "nginx"}).port
    answers = recorded("image-pull")
    node = {**copy.deepcopy(answers["/v1/nodes"]["body"][0]), "Address": "127.0.0.1"}
    answers["nomad /v1/nodes"] = {"status": 200, "body": [node]}
    sections = {"registry": {"port": port, "debugPort": 1}, "storage": {"path": "/srv/volumes/registry_data"}}

    found = look(port_free, answers, sections=sections)

    assert found.state == "failure"
    assert f"has port {port} of 127.0.0.1" in found.what and "BaseHTTP" in found.what
    assert found.fix.splitlines() == [
        f"pulumi config set --path docker-registry:registry.port {port + 50} --stack dev",
        "pulumi up --stack dev",
    ]


def test_ports_of_a_registry_that_runs_are_its_own(look):
    assert look(port_free).what == "the registry has 5000 and 5001"
