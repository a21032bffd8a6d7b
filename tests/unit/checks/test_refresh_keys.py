import pytest

from checks.errors import CheckError
from checks.token_keys import refresh_keys


def test_a_stack_without_vaults_tokens_has_nothing_to_refresh(servers, ready):
    settings = ready()

    with pytest.raises(CheckError, match=r"docker-registry:auth\.mode is htpasswd"):
        refresh_keys(servers(settings, {}).nomad, settings)


def test_a_refresh_says_what_the_job_says_last(servers, ready):
    grants = {"ci-app": {"repositories": {"ci/app": ["pull"]}}}
    settings = ready(sections={"auth": {"mode": "vault", "grants": grants}})
    child = "docker-registry-keys/periodic-1790000000"
    allocation = {"ID": "a1", "ClientStatus": "complete", "TaskStates": {"refresh-jwks": {}}}
    bodies = {
        "/v1/job/docker-registry-keys/periodic/force": {"EvalID": "e1"},
        "/v1/evaluation/e1": {"JobID": child},
        f"/v1/job/{child}/allocations": [allocation],
        "/v1/allocation/a1": allocation,
        "/v1/client/fs/logs/a1?type=stdout": "starting\nunchanged: a, b\n",
    }
    answers = {path: {"status": 200, "body": body} for path, body in bodies.items()}

    assert refresh_keys(servers(settings, answers).nomad, settings) == "unchanged: a, b"
