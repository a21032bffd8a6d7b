import json

import httpx
import pulumi
import pulumi_nomad as nomad
import pytest

from checks.servers import Servers
from components.dead_jobs import start_dead_jobs

JOB = "nomad:index/job:Job"
SPEC = {"ID": "docker-registry", "Namespace": "default", "TaskGroups": [{"Name": "registry", "Count": 1}]}
FOUND = {
    **SPEC,
    "Type": "service",
    "Status": "dead",
    "Stop": False,
    "Periodic": None,
    "ParameterizedJob": None,
    "Version": 0,
}


@pytest.fixture
def deployed(deploy, read_settings, monkeypatch):
    """The jobspec that is registered for a job, if its last deployment is in some state."""

    def run(deployment):
        latest = {"ID": "defb6bdb", "Status": deployment, "JobVersion": 0}
        answers = {"allocations": [], "deployment": latest, "docker-registry": FOUND}

        def answer(request):
            return httpx.Response(200, json=answers[request.url.path.rpartition("/")[2]])

        transport = httpx.MockTransport(answer)
        # Only the engine has hooks.
        monkeypatch.setattr("pulumi.ResourceHook", lambda *_: None)
        monkeypatch.setattr("pulumi.ResourceHookBinding", lambda **_: None)
        monkeypatch.setattr("components.dead_jobs.Servers", lambda providers: Servers(providers, transport))

        # For the stack it would be for all tests that follow.
        transformations = []
        monkeypatch.setattr("pulumi.runtime.register_stack_transformation", transformations.append)

        def program():
            start_dead_jobs(read_settings())
            opts = pulumi.ResourceOptions(transformations=transformations)
            return nomad.Job("registry", jobspec=json.dumps(SPEC), json=True, opts=opts).jobspec

        recorder, _ = deploy(program)
        return recorder.inputs(JOB)["jobspec"]

    return run


def test_what_nomad_has_given_up_is_another_job_for_it(deployed):
    [group] = json.loads(deployed("failed"))["TaskGroups"]

    assert group == {"Name": "registry", "Count": 1, "Meta": {"started_after": "defb6bdb"}}


def test_any_other_job_is_given_to_nomad_to_the_letter(deployed):
    assert deployed("successful") == json.dumps(SPEC)
