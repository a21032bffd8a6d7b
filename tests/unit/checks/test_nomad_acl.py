import pytest

from checks.nomad_acl import has_acl, policy_problems

TOKEN = {"nomad:secretId": "0f0f0f0f-0000-0000-0000-000000000000"}
REFUSED = {"status": 403, "body": "Permission denied"}


def ok(body):
    return {"status": 200, "body": body}


@pytest.fixture
def nomad(servers, ready):
    return lambda answers: servers(ready(), answers).nomad


@pytest.mark.parametrize(
    ("answer", "acl"),
    [
        ({"status": 400, "body": "ACL support disabled"}, False),
        ({"status": 403, "body": "Permission denied"}, True),
        (ok({"AccessorID": "a"}), True),
    ],
)
def test_nomad_tells_whether_it_has_acls(nomad, answer, acl):
    assert has_acl(nomad({"/v1/acl/token/self": answer})) is acl


@pytest.fixture
def problems(servers, ready):
    def ask(answer, tokens=TOKEN, **sections):
        settings = ready(servers=tokens, sections=sections)
        return policy_problems(servers(settings, {"/v1/acl/tokens": answer}).nomad, settings)

    return ask


def test_maintenance_needs_a_token_that_makes_policies(problems):
    (problem,) = problems(REFUSED, maintenance={"garbageCollection": {}})

    assert "the token in nomad:secretId is no management token" in problem
    assert "remove that" in problem
    assert TOKEN["nomad:secretId"] not in problem


def test_a_mirror_with_a_greatest_size_needs_one_too(problems):
    mirror = {"name": "quay", "upstream": "https://quay.io", "port": 5011, "maxSize": "1GiB"}

    assert "docker-registry:mirrors[].maxSize makes" in problems(REFUSED, mirrors=[mirror])[0]


def test_the_exporter_needs_such_a_token_too(problems):
    (problem,) = problems(REFUSED, monitoring={})

    assert "docker-registry:monitoring makes ACL policies by which the exporter looks" in problem


@pytest.mark.parametrize(
    "answer", [ok([]), {"status": 400, "body": "ACL support disabled"}], ids=["management", "without ACLs"]
)
def test_a_management_token_and_a_nomad_without_acls_are_fine(problems, answer):
    assert problems(answer, maintenance={"garbageCollection": {}}) == []


def test_without_maintenance_any_token_will_do(problems):
    assert problems(REFUSED) == []


def test_without_a_token_there_are_no_policies_to_make(problems):
    assert problems(REFUSED, tokens={}, maintenance={"garbageCollection": {}}) == []
