import json

import pytest

from checks.errors import CheckError
from checks.taken_name import require_free

JOB, POLICY = "nomad:index/job:Job", "vault:index/policy:Policy"
BACKENDS = ["vault:index/authBackend:AuthBackend", "vault:jwt/authBackend:AuthBackend"]
JOBSPEC = {"jobspec": json.dumps({"ID": "docker-registry", "Namespace": "apps"})}


@pytest.fixture
def refusal(servers, ready):
    """What is said of a resource that is about to be made; "" if nothing."""

    def ask(kind, inputs, answers=None, **sections):
        settings = ready(sections=sections)
        try:
            require_free(servers(settings, answers or {}), settings, kind, inputs)
        except CheckError as error:
            return str(error)
        return ""

    return ask


def job(stopped):
    return {"nomad /v1/job/docker-registry": {"status": 200, "body": {"Stop": stopped}}}


def test_what_no_server_has_may_be_made(refusal):
    assert refusal(JOB, JOBSPEC) == ""
    assert refusal(POLICY, {"name": "docker-registry"}) == ""
    assert refusal(BACKENDS[0], {"path": "docker-registry-approle"}) == ""


def test_a_job_that_is_there_is_refused_with_the_command_that_takes_it_away(refusal):
    said = refusal(JOB, JOBSPEC, job(stopped=False))

    assert "has a job docker-registry in namespace apps already, and it is not this stack's" in said
    assert "set" not in said.partition("registry.name")[0]
    assert "`nomad job stop -purge -address=http://127.0.0.1:4646 -namespace=apps docker-registry`" in said
    assert said.endswith("if it is named by --replace, add --skip-preview")


def test_a_job_that_somebody_stopped_may_be_replaced(refusal):
    assert refusal(JOB, JOBSPEC, job(stopped=True)) == ""


def test_a_jobspec_that_is_not_known_yet_is_looked_at_by_up(refusal):
    assert refusal(JOB, {"jobspec": object()}, job(stopped=False)) == ""


def test_a_policy_that_is_there_is_refused_with_the_path_of_the_secrets(refusal):
    answers = {"vault /v1/sys/policies/acl/docker-registry-ci": {"status": 200, "body": {"data": {}}}}

    said = refusal(POLICY, {"name": "docker-registry-ci"}, answers)

    assert "has a policy docker-registry-ci already, and it is not this stack's" in said
    assert "secret/docker-registry/" in said
    assert "`vault policy delete docker-registry-ci`" in said


@pytest.mark.parametrize("kind", BACKENDS)
def test_an_auth_backend_that_is_there_is_refused_or_to_be_used(refusal, kind):
    there = {"status": 200, "body": {"data": {"type": "jwt"}}}
    path = "vault /v1/sys/internal/ui/mounts/auth/"

    shared = refusal(kind, {"path": "jwt-nomad"}, {f"{path}jwt-nomad": there})
    assert "set vault.workload.createBackend to false to use it" in shared
    own = refusal(kind, {"path": "docker-registry-oidc"}, {f"{path}docker-registry-oidc": there})
    assert "give this stack a registry.name of its own" in own


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_the_token_may_not_see_is_left_to_the_server(refusal, status):
    answers = {"vault /v1/sys/policies/acl/docker-registry": {"status": status, "body": {"errors": []}}}

    assert refusal(POLICY, {"name": "docker-registry"}, answers) == ""


def test_other_kinds_are_not_looked_for(refusal):
    assert refusal("command:local:Command", {"create": "true"}) == ""
