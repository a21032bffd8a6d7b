import json
import re

import pytest
import yaml

from jobs.config_template import config_template, htpasswd_template

HTTP, CONFIG = "secret/data/docker-registry/http", "secret/data/docker-registry/config"


def rendered(template, secrets):
    """Do what consul-template does, for the few expressions that these templates use."""
    for key, value in secrets.items():
        lookup = r'\{\{ with secret "[^"]+" \}\}\{\{ index \.Data\.data "' + re.escape(key)
        template = re.sub(lookup + r'" \| toJSON \}\}\{\{ end \}\}', f'"{value}"', template)
    return yaml.safe_load(template.replace('{{"{{"}}', "{{"))


def test_http_secret_is_looked_up_in_vault():
    template = config_template({"version": 0.1, "http": {"addr": ":5000"}}, HTTP, None)

    assert f'secret: {{{{ with secret "{HTTP}" }}}}' in template
    assert rendered(template, {"secret": "s3cret"})["http"] == {"addr": ":5000", "secret": "s3cret"}


def test_secrets_of_the_stack_are_looked_up_and_not_written():
    config = {
        "version": 0.1,
        "http": {},
        "redis": {"password": "hunter2"},
        "notifications": {"endpoints": [{"name": "a", "headers": {"Authorization": ["Bearer 1234"]}}]},
    }

    template = config_template(config, HTTP, CONFIG)

    assert "hunter2" not in template and "1234" not in template
    values = {
        "secret": "s",
        "redis.password": "hunter2",
        "notifications.endpoints.0.headers.Authorization.0": "Bearer 1234",
    }
    assert rendered(template, values) == {**config, "http": {"secret": "s"}}


def test_text_that_looks_like_a_template_reaches_the_registry_as_it_is():
    config = {"version": 0.1, "http": {}, "log": {"fields": {"note": '{{ env "HOME" }}'}}}

    template = config_template(config, HTTP, None)

    assert '{{ env "HOME" }}' not in template
    assert rendered(template, {"secret": "s"})["log"]["fields"]["note"] == '{{ env "HOME" }}'


def test_more_than_ten_secrets_do_not_run_into_each_other():
    headers = {f"X-Secret-{index}": ["v"] for index in range(12)}
    config = {"version": 0.1, "http": {"headers": headers}}

    template = config_template(config, HTTP, CONFIG)

    values = {f"http.headers.X-Secret-{index}.0": f"v{index}" for index in range(12)} | {"secret": "s"}
    assert rendered(template, values)["http"]["headers"]["X-Secret-11"] == ["v11"]


def test_htpasswd_is_one_text_in_vault():
    assert htpasswd_template("secret/data/x/users") == (
        '{{ with secret "secret/data/x/users" }}{{ .Data.data.htpasswd }}{{ end }}'
    )


FREEZE = "nomad/jobs/docker-registry"


ALLOCATION = "0a1b2c3d-1111-2222-3333-444455556666"


def frozen_config(template, mode, owner=None):
    """Do what consul-template does with the variable's items; no mode is no variable."""
    first, _, rest = template.partition("\n")
    default = re.search(r'\$mode := "([a-z-]+)"', first)[1]
    found = "read-only" if mode == "read-only" else default
    is_allocation = re.search(re.search(r"regexMatch `([^`]+)`", first)[1], owner or "<nil>")
    freeze = json.dumps([owner]) if mode == "read-only" and is_allocation else "[]"
    rest = rest.replace("{{ $mode }}", found).replace("{{ $freeze }}", freeze)
    return yaml.safe_load(
        rest.replace('{{ eq $mode "read-only" }}', "true" if found == "read-only" else "false")
    )


@pytest.mark.parametrize(
    ("mode", "enabled", "header"),
    [(None, False, "read-write"), ("read-only", True, "read-only"), ("other", False, "read-write")],
)
def test_a_nomad_variable_decides_whether_the_registry_takes_pushes(mode, enabled, header):
    config = {"version": 0.1, "http": {"headers": {"X-Other": ["1"]}}, "storage": {}}

    found = frozen_config(config_template(config, freeze_path=FREEZE), mode)

    assert found["storage"]["maintenance"]["readonly"] == {"enabled": enabled}
    assert found["http"]["headers"] == {
        "X-Other": ["1"],
        "X-Registry-Mode": [header],
        "X-Registry-Freeze": [],
    }


@pytest.mark.parametrize(
    ("mode", "owner", "told"),
    [
        ("read-only", ALLOCATION, [ALLOCATION]),
        ("read-only", "alice", []),
        ("read-only", f"alice {ALLOCATION}", []),
        ("other", ALLOCATION, []),
    ],
    ids=["an allocation", "a person", "a person's words", "not frozen"],
)
def test_an_answer_tells_which_allocation_froze_it_and_never_a_person(mode, owner, told):
    template = config_template({"version": 0.1, "http": {}, "storage": {}}, freeze_path=FREEZE)

    assert frozen_config(template, mode, owner)["http"]["headers"]["X-Registry-Freeze"] == told


def test_a_variable_that_is_not_there_is_not_waited_for():
    template = config_template({"version": 0.1, "http": {}, "storage": {}}, freeze_path=FREEZE)

    assert template.index(f'if nomadVarExists "{FREEZE}"') < template.index(f'with nomadVar "{FREEZE}"')


def test_a_stack_that_is_read_only_by_itself_stays_so_and_says_so():
    storage = {"maintenance": {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}}}

    template = config_template({"version": 0.1, "http": {}, "storage": storage}, freeze_path=FREEZE)

    found = frozen_config(template, None)
    assert found["storage"]["maintenance"]["readonly"] == {"enabled": True}
    assert found["storage"]["maintenance"]["uploadpurging"] == {"enabled": False}
    assert found["http"]["headers"]["X-Registry-Mode"] == ["read-only"]


def test_while_it_is_read_only_the_registry_leaves_redis_alone():
    config = {"version": 0.1, "http": {}, "storage": {"cache": {"blobdescriptor": "redis"}}}

    template = config_template(config, freeze_path="nomad/jobs/docker-registry")

    assert 'blobdescriptor: {{ if eq $mode "read-write" }}redis{{ else }}""{{ end }}' in template


def test_a_cache_in_memory_stays_as_it_is():
    config = {"version": 0.1, "http": {}, "storage": {"cache": {"blobdescriptor": "inmemory"}}}

    assert "blobdescriptor: inmemory" in config_template(config, freeze_path="nomad/jobs/docker-registry")
