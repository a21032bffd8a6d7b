import json

import pytest

from config.encrypted import marked
from config.problems import SettingsError

PLANTED = "https://hunter2-planted"
SECURE = {"secure": PLANTED}
HOOK = {"name": "hook", "url": SECURE}


def mark(value, written, key="docker-registry:registry"):
    return marked({key: json.dumps(value)}, {key}, {key: written})


def test_the_stack_files_marks_are_put_around_what_was_decrypted():
    value = {"config": {"notifications": {"endpoints": [{"name": "hook", "url": PLANTED}]}}, "port": 5000}
    written = {
        "config": {"notifications": {"endpoints": [{"name": "hook", "url": {"secure": "v1:abc"}}]}},
        "port": 5000,
    }

    config, problems = mark(value, written)

    assert problems == []
    expected = {"config": {"notifications": {"endpoints": [{"name": "hook", "url": SECURE}]}}, "port": 5000}
    assert json.loads(config["docker-registry:registry"]) == expected


def test_a_section_that_is_encrypted_as_a_whole_is_marked_as_a_whole():
    config, problems = mark({"users": {}}, {"secure": "v1:abc"})

    assert (json.loads(config["docker-registry:registry"]), problems) == ({"secure": '{"users": {}}'}, [])


@pytest.mark.parametrize(
    "written",
    [
        None,
        {"a": {"secure": "v1:abc"}, "c": 1},
        {"a": {"secure": "v1:abc"}, "b": "another"},
        {"a": {"secure": "v1:abc"}, "b": ["x"]},
        [{"secure": "v1:abc"}],
    ],
    ids=["no file", "other keys", "another text", "a list", "a list of all"],
)
def test_with_another_stack_file_than_the_engines_nothing_is_guessed(written):
    _, (problem,) = mark({"a": PLANTED, "b": "text"}, written)

    assert "only the stack file tells what" in problem.message
    assert PLANTED not in str(problem)


def test_what_yaml_reads_as_another_type_than_the_engine_is_still_the_same_file():
    _, problems = mark(
        {"a": PLANTED, "b": "2024-01-01", "c": 8}, {"a": {"secure": "v1"}, "b": 1.5, "c": "010"}
    )

    assert problems == []


@pytest.mark.parametrize("key", ["vault:address", "nomad:caFile", "consul:scheme"])
def test_an_encrypted_address_of_a_server_is_refused(key):
    _, (problem,) = marked({key: PLANTED}, {key}, {key: {"secure": "v1:abc"}})

    assert problem.key == key
    assert f"`pulumi config set --plaintext --path '{key}' VALUE`" in problem.message
    assert PLANTED not in str(problem)


def test_an_encrypted_token_is_what_it_was():
    config = {"vault:token": PLANTED}

    assert marked(config, {"vault:token"}, {}) == (config, [])


KEPT = {
    "a webhook's address": {"notifications": {"endpoints": [HOOK]}},
    "a header": {"notifications": {"endpoints": [{**HOOK, "headers": {"X-Team": [SECURE]}}]}},
    "a bucket's name": {"storage": {"filesystem": None, "gcs": {"bucket": SECURE}}},
    "a mail server's user": {
        "log": {
            "level": "warn",
            "hooks": [
                {
                    "type": "mail",
                    "levels": ["error"],
                    "options": {
                        "smtp": {"addr": "mail.lan:25", "username": SECURE, "password": SECURE},
                        "from": "registry@lan",
                        "to": ["me@lan"],
                    },
                }
            ],
        }
    },
    "an option of a middleware": {
        "middleware": {"registry": [{"name": "own", "options": {"key.of": {"a": SECURE}}}]}
    },
    "a user of Redis": {
        "redis": {"addrs": ["10.0.0.1:6379"], "username": SECURE, "password": SECURE},
        "storage": {"cache": {"blobdescriptor": "redis"}},
    },
}


@pytest.mark.parametrize("config", KEPT.values(), ids=KEPT)
def test_what_is_encrypted_goes_to_vault_whatever_its_key(read_settings, config):
    config = {"log": {"level": "warn"}} | config

    own = {"image": "nas.lan/registry:3", "config": config}  # with a middleware
    settings = read_settings(registry=own, access={"bind": "127.0.0.1"})

    assert PLANTED in settings.config_secrets.values()
    assert PLANTED not in repr(settings)


REFUSED = {
    "a log field": (
        {"registry": {"config": {"log": {"fields": {"a": SECURE}}}}},
        "registry.config.log.fields.a",
    ),
    "a header for clients": (
        {"registry": {"config": {"http": {"headers": {"X-A": [SECURE]}}}}},
        "registry.config.http.headers.X-A[0]",
    ),
    "an endpoint's name": (
        {"registry": {"config": {"notifications": {"endpoints": [{"name": SECURE, "url": "http://a"}]}}}},
        "registry.config.notifications.endpoints[0].name",
    ),
    "a level": ({"registry": {"config": {"log": {"level": SECURE}}}}, "registry.config.log.level"),
    "all of a section": (
        {"registry": {"config": {"notifications": SECURE}}},
        "registry.config.notifications",
    ),
    "a host name": ({"registry": {"hostname": SECURE}}, "registry.hostname"),
    "a port": ({"registry": {"port": SECURE}}, "registry.port"),
    "a pattern": (
        {"maintenance": {"retention": {"rules": [{"repositories": [SECURE], "keepNewest": 1}]}}},
        "maintenance.retention.rules[0].repositories[0]",
    ),
    "a mirror's address": (
        {"mirrors": [{"name": "a", "upstream": SECURE, "port": 5010}]},
        "mirrors[0].upstream",
    ),
    "an unknown key": ({"registry": {"hostnme": SECURE}}, "registry.hostnme"),
    "users as one text": ({"auth": {"users": SECURE}}, "auth.users"),
}


@pytest.mark.parametrize(("sections", "key"), REFUSED.values(), ids=REFUSED)
def test_what_is_needed_in_clear_is_refused_with_words_and_not_shown(read_settings, sections, key):
    with pytest.raises(SettingsError) as error:
        read_settings(**sections)

    (problem,) = error.value.problems
    assert problem.key == f"docker-registry:{key}"
    assert "cannot be kept secret" in problem.message
    assert PLANTED not in str(error.value)


def test_a_whole_section_is_encrypted_only_where_all_of_it_may_be(read_settings, bcrypt_hash):
    users = {"secure": json.dumps({"users": {"alice": bcrypt_hash}})}
    assert read_settings(auth=users).auth.users == {"alice": bcrypt_hash}

    with pytest.raises(SettingsError, match="auth: is encrypted as a whole"):
        read_settings(auth={"secure": json.dumps({"mode": "htpasswd", "users": {"alice": bcrypt_hash}})})


def test_a_wrong_value_that_is_encrypted_is_not_shown(read_settings):
    hook = {"name": "hook", "url": {"secure": "ftp://hunter2"}}

    with pytest.raises(SettingsError) as error:
        read_settings(
            registry={"config": {"log": {"level": "warn"}, "notifications": {"endpoints": [hook]}}},
            access={"bind": "127.0.0.1"},
        )

    assert "must be a URL with scheme and host" in str(error.value)
    assert "hunter2" not in str(error.value)
