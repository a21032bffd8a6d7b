import pytest

from checks.errors import CheckError
from checks.token_keys import refill_keys, refresh_keys


def test_a_stack_without_vaults_tokens_has_nothing_to_refresh(servers, ready):
    settings = ready()

    with pytest.raises(CheckError, match=r"docker-registry:auth\.mode is htpasswd"):
        refresh_keys(servers(settings, {}).nomad, settings)


GRANTS = {"ci-app": {"repositories": {"ci/app": ["pull"]}}}
PATH = "secret/data/docker-registry/jwks"


@pytest.mark.parametrize(
    ("job", "path", "asked"),
    [
        (None, PATH, False),  # a stack's first deploy
        ({"Stop": False}, PATH, True),
        ({"Stop": True}, PATH, False),
        ({"Stop": False}, "other/data/docker-registry/jwks", False),
    ],
)
def test_only_a_key_set_that_the_job_already_fills_is_filled_anew(servers, ready, job, path, asked):
    settings = ready(sections={"auth": {"mode": "vault", "grants": GRANTS}})
    body = job and {**job, "TaskGroups": [{"Tasks": [{"Env": {"JWKS_PATH": PATH}}]}]}
    answer = {"status": 200, "body": body} if job else {"status": 404, "body": None}
    nomad = servers(settings, {"/v1/job/docker-registry-keys": answer}).nomad

    if asked:  # it is forced to run, for which there is no answer here
        with pytest.raises(CheckError, match="has no job docker-registry-keys"):
            refill_keys(nomad, settings, path)
    else:
        refill_keys(nomad, settings, path)


def test_a_refresh_says_what_the_job_says_last(servers, ready):
    settings = ready(sections={"auth": {"mode": "vault", "grants": GRANTS}})
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
