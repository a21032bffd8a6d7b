"""How a job is compared and waited for, without a server."""

import asyncio
import json

import pytest

from devcluster.plugins.nomad import POLLING, Job
from devcluster.plugins.resource import Call

CALL = Call("urn", 60.0, print)
DEPLOYMENT = "/v1/deployment/d1"


def jobspec(count):
    return json.dumps({"ID": "web", "TaskGroups": [{"Name": "web", "Count": count}]})


class Server:
    """Answers by path, a list one after the other, and keeps the parameters that it was asked with."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    async def call(self, method, path, *, body=None, params=None, wait=0.0):
        self.asked.append((path, params or {}))
        answer = self.answers.get(path, {})
        return answer.pop(0) if isinstance(answer, list) else answer


@pytest.fixture
def pauses(monkeypatch):
    """Seconds that were slept, at once."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


def deployed():
    server = Server(
        **{
            "/v1/jobs": {"JobModifyIndex": 7, "EvalID": "e1"},
            "/v1/evaluation/e1": {"Status": "complete", "DeploymentID": "d1"},
            DEPLOYMENT: [
                *[{"ID": "d1", "Status": "running", "ModifyIndex": index} for index in range(1, 5)],
                {"ID": "d1", "Status": "successful", "StatusDescription": ""},
            ],
            "/v1/job/web": {
                **dict.fromkeys(("Namespace", "Type", "Region", "Datacenters", "Status"), "x"),
                **{"ID": "web", "JobModifyIndex": 7, "Version": 0},
            },
            "/v1/job/web/submission": None,
        }
    )
    asyncio.run(Job(server).create({"jobspec": jobspec(1), "json": True, "detach": False}, CALL))
    return [params for path, params in server.asked if path == DEPLOYMENT]


def test_a_deployment_is_waited_for_by_blocking_queries(pauses, monkeypatch):
    monkeypatch.delenv(POLLING, raising=False)

    assert [params["index"] for params in deployed()] == [0, 1, 2, 3, 4]
    assert pauses == []


def test_with_the_switch_a_deployment_is_asked_for_as_seldom_as_by_the_published_plugin(pauses, monkeypatch):
    monkeypatch.setenv(POLLING, "1")

    assert {(params["index"], params["wait"]) for params in deployed()} == {(0, "0ms")}
    assert [round(pause) for pause in pauses] == [5, 10, 10, 10]


def test_a_changed_jobspec_lists_what_nomad_computes_anew_and_the_same_one_nothing():
    def paths(new):
        server = Server(**{"/v1/job/web/plan": {"JobModifyIndex": 7}})
        old = {"jobspec": jobspec(1), "json": True, "name": "web", "namespace": "default", "modifyIndex": "7"}
        found = asyncio.run(Job(server).changes(old, {"jobspec": new, "json": True}))
        return {change.path: change.replaces for change in found}

    computed = ("allocationIds", "modifyIndex", "region", "status")
    assert paths(jobspec(2)) == dict.fromkeys(("jobspec", *computed), False)
    assert paths(jobspec(1)) == {}
