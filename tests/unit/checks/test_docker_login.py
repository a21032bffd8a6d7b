import base64
import json
import os

import httpx
import pytest

from checks.docker_login import docker_config_file, stored_login
from checks.errors import CheckError

ADDRESS = "registry.homelab.local:5000"
HELPER = """#!/bin/sh
read -r address
[ "$1 $address" = "get {address}" ] || {{ echo 'credentials not found in native keychain'; exit 1; }}
echo '{{"Username": "alice", "Secret": "helped"}}'
"""


@pytest.fixture
def login(tmp_path):
    """Read the log-in out of a configuration of docker's."""
    file = tmp_path / "config.json"

    def read(config, address=ADDRESS):
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        return stored_login(file, address)

    return read


def sent(login):
    return next(login.auth_flow(httpx.Request("GET", "http://x"))).headers["Authorization"]


def test_the_file_is_where_docker_looks_for_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert docker_config_file({}) == tmp_path / ".docker" / "config.json"
    assert docker_config_file({"DOCKER_CONFIG": "/elsewhere"}).parts[-2:] == ("elsewhere", "config.json")


def test_a_password_is_read_and_never_shown(login):
    pair = base64.b64encode(b"alice:s3cret").decode()

    found = login({"auths": {ADDRESS: {"auth": pair}}})

    assert (found.user, found.token, sent(found)) == ("alice", None, f"Basic {pair}")
    assert pair not in repr(found)


def test_a_token_comes_before_a_credential_helper(login):
    found = login({"auths": {ADDRESS: {"registrytoken": "signed"}}, "credsStore": "none"})

    assert (found.user, found.token, sent(found)) == (None, "signed", "Bearer signed")


def test_a_credential_helper_is_asked_by_standard_input(login, tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER.format(address=ADDRESS))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    found = login({"credHelpers": {ADDRESS: "test"}})

    assert (found.user, sent(found)) == ("alice", "Basic " + base64.b64encode(b"alice:helped").decode())
    assert login({"credsStore": "test"}, "elsewhere") is None


def test_a_helper_that_is_missing_is_named(login):
    with pytest.raises(CheckError, match="docker-credential-nowhere does not give the log-in"):
        login({"credsStore": "nowhere"})


def test_without_a_log_in_there_is_none(login, tmp_path):
    assert login({}) is None
    assert login({"auths": {"elsewhere": {"auth": "YTpi"}}}) is None
    assert stored_login(tmp_path / "none.json", ADDRESS) is None


def test_a_file_that_is_no_configuration_is_named(login):
    with pytest.raises(CheckError, match=r"cannot read .*config\.json"):
        login("no json")
