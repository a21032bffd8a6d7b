import json

import httpx
import pytest

from checks.servers import Servers
from checks.taken_ports import port_problems

HOME = "53161eab-38a8-1cfc-fa95-d30f3186a051"
NODE = {"ID": HOME, "Name": "nas", "Status": "ready", "HostVolumes": {}}
VOLUME = {"registry_data": {"Path": "/srv/registry_data", "ReadOnly": False}}
HOLDER = {
    "NodeID": HOME,
    "NodeName": "nas",
    "JobID": "web",
    "Namespace": "apps",
    "TaskGroup": "web",
    "DesiredStatus": "run",
    "ClientStatus": "running",
    "AllocatedResources": {"Shared": {"Ports": [{"Label": "http", "Value": 5000}]}},
}
HOLDERS_JOB = {"TaskGroups": [{"Name": "web", "Volumes": None}]}


@pytest.fixture
def ask(ready):
    """What is said when Nomad's plan gives these reasons, and the group that it was asked to plan."""

    def run(*reasons, allocations=(), volumes=None, host_network=None):
        settings, asked = ready(), []

        def answer(request):
            path = request.url.path
            if path == "/v1/nodes":
                return httpx.Response(200, json=[{**NODE, "HostVolumes": volumes}])
            if path == "/v1/allocations":
                return httpx.Response(200, json=list(allocations))
            if path == "/v1/job/web":
                return httpx.Response(200, json=HOLDERS_JOB)
            asked.append(json.loads(request.content)["Job"]["TaskGroups"][0])
            exhausted = {"DimensionExhausted": dict.fromkeys(reasons, 1) or None}
            return httpx.Response(200, json={"FailedTGAllocs": {"registry": exhausted} if reasons else None})

        with Servers(settings.providers, httpx.MockTransport(answer)) as opened:
            return list(port_problems(opened.nomad, settings, host_network)), asked[0]

    return run


def test_ports_that_are_free_are_no_problem(ask):
    assert ask()[0] == []


@pytest.mark.parametrize(
    ("label", "port", "key"), [("registry", 5000, "registry.port"), ("metrics", 5001, "registry.debugPort")]
)
def test_a_port_that_is_taken_is_named_with_its_setting(ask, label, port, key):
    (said,), _ = ask(f"network: reserved port collision {label}={port}")

    assert said.startswith(f"docker-registry:{key}: no client of Nomad at http://127.0.0.1:4646")
    assert f"has port {port} free" in said
    assert "something that the token may not read" in said


def test_the_job_that_has_the_port_is_named(ask):
    (said,), _ = ask("network: reserved port collision registry=5000", allocations=[HOLDER])

    assert "it is taken by job web (namespace apps) on nas: set another port" in said


def test_other_reasons_for_no_place_are_not_told_here(ask):
    assert ask("memory")[0] == []


def test_the_plan_has_the_ports_at_their_address_and_the_volume_once_it_is_offered(ask):
    _, group = ask(host_network="lan")
    (network,) = group["Networks"]
    assert [(port["Value"], port["HostNetwork"]) for port in network["ReservedPorts"]] == [
        (5000, "lan"),
        (5001, "lan"),
    ]
    assert group["Volumes"] is None

    _, group = ask(volumes=VOLUME)
    assert group["Volumes"]["data"]["Source"] == "registry_data"


def test_the_exporters_port_is_planned_as_its_own_job(servers, ready):
    settings = ready(sections={"monitoring": {"port": 5002}})
    collision = {"network: reserved port collision metrics=5002": 1}
    answers = {
        "/v1/nodes": {"status": 200, "body": [NODE]},
        "/v1/allocations": {"status": 200, "body": []},
        "/v1/job/docker-registry/plan": {"status": 200, "body": {}},
        "/v1/job/docker-registry-exporter/plan": {
            "status": 200,
            "body": {"FailedTGAllocs": {"exporter": {"DimensionExhausted": collision}}},
        },
    }

    (said,) = port_problems(servers(settings, answers).nomad, settings, None)

    assert said.startswith("docker-registry:monitoring.port: no client of Nomad")
    assert "may run the exporter has port 5002 free" in said


BUCKET = {"driver": "s3", "s3": {"bucket": "images", "region": "any"}}


def test_with_a_bucket_the_registry_may_run_where_no_volume_is(servers, ready):
    asked, settings = [], ready(sections={"storage": BUCKET})

    def plan(request):
        asked.append(json.loads(request.content)["Job"]["TaskGroups"][0])
        return {"status": 200, "body": {"FailedTGAllocs": None}}

    nodes = {"status": 200, "body": [{**NODE, "HostVolumes": VOLUME}]}
    answers = {"/v1/nodes": nodes, "/v1/job/docker-registry/plan": plan}

    assert list(port_problems(servers(settings, answers).nomad, settings, None)) == []
    assert asked[0]["Volumes"] is None


MIRRORS = [
    {"name": "registry", "upstream": "https://registry-1.docker.io", "port": 5010},
    {"name": "quay", "upstream": "https://quay.io", "port": 5011},
]


def plans_of(mirrors_plan, nodes=({**NODE, "HostVolumes": None},), allocations=()):
    """Answers of a Nomad in which the registry's ports are free."""
    return {
        "/v1/nodes": {"status": 200, "body": list(nodes)},
        "/v1/allocations": {"status": 200, "body": list(allocations)},
        "/v1/job/web": {"status": 200, "body": HOLDERS_JOB},
        "/v1/job/docker-registry/plan": {"status": 200, "body": {"FailedTGAllocs": None}},
        "/v1/job/docker-registry-mirrors/plan": mirrors_plan,
    }


def test_the_mirrors_ports_are_planned_in_a_job_of_their_name_where_their_volume_is(servers, ready):
    asked, settings = [], ready(sections={"mirrors": MIRRORS})

    def plan(request):
        asked.append(json.loads(request.content)["Job"])
        return {"status": 200, "body": {"FailedTGAllocs": None}}

    cache = {"registry_cache": {"Path": "/srv/registry_cache", "ReadOnly": False}}
    answers = plans_of(plan, nodes=[{**NODE, "HostVolumes": cache}])

    assert list(port_problems(servers(settings, answers).nomad, settings, "lan")) == []
    (job,) = asked
    assert (job["ID"], job["Name"]) == ("docker-registry-mirrors", "docker-registry-mirrors")
    assert {
        group["Name"]: [
            (port["Value"], port["HostNetwork"])
            for network in group["Networks"]
            for port in network["ReservedPorts"]
        ]
        for group in job["TaskGroups"]
    } == {"registry": [(5010, "lan")], "quay": [(5011, "lan")]}
    assert {group["Volumes"]["data"]["Source"] for group in job["TaskGroups"]} == {"registry_cache"}


def test_a_mirrors_port_that_is_taken_is_named_with_its_setting_and_holder(servers, ready):
    settings = ready(sections={"mirrors": MIRRORS})
    reasons = {"DimensionExhausted": {"network: reserved port collision registry=5011": 1}}
    plan = {"status": 200, "body": {"FailedTGAllocs": {"quay": reasons}}}
    ports = {"Shared": {"Ports": [{"Label": "http", "Value": 5011}]}}
    answers = plans_of(plan, allocations=[{**HOLDER, "AllocatedResources": ports}])

    (said,) = port_problems(servers(settings, answers).nomad, settings, None)

    assert said.startswith("docker-registry:mirrors[1].port: no client of Nomad at http://127.0.0.1:4646")
    assert "that may run the mirror has port 5011 free; it is taken by job web (namespace apps)" in said


def test_ports_that_nomad_chooses_are_not_asked_for(servers, ready):
    registry = {"count": 2, "redis": {"address": "redis.lan:6379"}}
    settings = ready(sections={"storage": BUCKET, "registry": registry})

    assert list(port_problems(servers(settings, {}).nomad, settings, None)) == []
