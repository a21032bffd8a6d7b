import json

import pytest

from checks.errors import CheckError
from checks.secret_change import secret_change

PATH = "vault /v1/secret/data/docker-registry/users"
DATA = {"htpasswd": "demo:hash\n", "more": {"a": 1}}
DELETED = "its newest version in Vault is deleted or destroyed"


def asked(servers, ready, status, body, deployed=DATA):
    text = None if deployed is None else json.dumps(deployed)
    answer = {PATH: {"status": status, "body": body}}
    return secret_change(servers(ready(), answer).vault, "secret/", "docker-registry/users", text)


def newest(data):
    return {"data": {"data": data, "metadata": {"version": 3}}}


def test_the_same_data_written_otherwise_is_as_deployed(servers, ready):
    assert asked(servers, ready, 200, newest(dict(reversed(DATA.items())))) is None


@pytest.mark.parametrize("data", [{**DATA, "htpasswd": "mallory:hash\n"}, {}, {**DATA, "x": ""}])
def test_other_data_is_changed(servers, ready, data):
    assert asked(servers, ready, 200, newest(data)) == "has other contents in Vault than were deployed"


def test_of_what_a_job_writes_it_only_matters_that_it_is_there(servers, ready):
    assert asked(servers, ready, 200, newest({"jwks": "keys"}), deployed=None) is None
    assert asked(servers, ready, 404, newest(None), deployed=None) == DELETED


@pytest.mark.parametrize("body", [newest(None), {"errors": []}], ids=["deleted or destroyed", "never there"])
def test_a_newest_version_without_data_is_deleted(servers, ready, body):
    assert asked(servers, ready, 404, body) == DELETED


def test_a_token_that_may_not_read_it_is_an_error(servers, ready):
    with pytest.raises(CheckError, match=r"check vault:token"):
        asked(servers, ready, 403, {"errors": ["permission denied"]})
