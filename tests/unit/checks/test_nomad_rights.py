import json

import httpx
import pytest

from checks.nomad_rights import lacking_rights
from checks.servers import Servers

TOKEN = {"nomad:secretId": "weak"}
NEEDED = {
    "/v1/nodes": "node",
    "/v1/job/docker-registry/plan": "submit-job",
    "/v1/job/docker-registry": "read-job",
}
VAULT = {"mode": "vault", "grants": {"ci-app": {"repositories": {"ci/app": ["pull"]}}}}


@pytest.fixture
def lacking(ready):
    """Ask a Nomad that grants some rights; gives what is lacking and the requests that reached it."""

    def ask(granted, servers=TOKEN, **sections):
        settings = ready(servers=servers, sections=sections)
        requests = []

        def answer(request):
            requests.append(request)
            path = request.url.path
            needs = volume_of(request) if path == "/v1/jobs" else NEEDED[path]
            if needs not in granted:
                return httpx.Response(403, text="Permission denied")
            if path == "/v1/jobs":
                return httpx.Response(500, text="Enforcing job modify index: job does not exist")
            return httpx.Response(200, json={})

        with Servers(settings.providers, httpx.MockTransport(answer)) as opened:
            return "\n".join(lacking_rights(settings, opened.nomad)), requests

    return ask


def volume_of(request):
    (group,) = json.loads(request.content)["Job"]["TaskGroups"]
    return group["Volumes"]["data"]["Source"]


ALL = {"submit-job", "read-job", "node", "registry_data", "registry_auth"}


def test_with_all_rights_nothing_is_lacking(lacking):
    assert lacking(ALL)[0] == ""


@pytest.mark.parametrize(
    ("right", "rule"),
    [
        ("submit-job", 'namespace "default" {\n  capabilities = ["submit-job"]\n}'),
        ("read-job", 'namespace "default" {\n  capabilities = ["read-job"]\n}'),
        ("node", 'node {\n  policy = "read"\n}'),
        ("registry_data", 'host_volume "registry*data" {\n  policy = "write"\n}'),
    ],
)
def test_a_right_that_is_lacking_is_named_as_the_rule_to_add(lacking, right, rule):
    text, _ = lacking(ALL - {right})

    assert "the token in nomad:secretId lacks rights at Nomad" in text
    assert text.splitlines()[1:-1] == rule.splitlines()


def test_the_volume_of_the_nomad_clients_auth_file_is_tried_where_there_is_one(lacking):
    text, _ = lacking(ALL - {"registry_auth"}, auth={**VAULT, "nodes": {"grant": "ci-app"}})

    assert 'host_volume "registry*auth" {' in text
    assert "registry*data" not in text
    assert lacking(ALL - {"registry_auth"}, auth=VAULT)[0] == ""


def test_the_volume_of_the_backups_is_tried_where_there_are_some(lacking):
    assert 'host_volume "registry*backup" {' in lacking(ALL, maintenance={"backup": {}})[0]
    assert lacking(ALL | {"registry_backup"}, maintenance={"backup": {}})[0] == ""


def test_backups_to_a_bucket_need_no_volume(lacking):
    bucket = {"endpoint": "https://s3.homelab.local", "bucket": "backups", "accessKey": "a", "secretKey": "s"}

    assert lacking(ALL, maintenance={"backup": {"s3": bucket}})[0] == ""


def test_trying_a_volume_can_never_register_a_job(lacking):
    _, requests = lacking(ALL)

    (tried,) = [json.loads(each.content) for each in requests if each.url.path == "/v1/jobs"]
    assert tried["EnforceIndex"] is True
    assert tried["JobModifyIndex"] == 2**64 - 1


def test_without_a_token_no_registration_is_tried(lacking):
    _, requests = lacking(ALL, servers={})

    assert "/v1/jobs" not in [each.url.path for each in requests]
