import json
from pathlib import Path, PurePosixPath

import pytest
import yaml

from config.problems import SettingsError
from config.settings import OPTIONAL_SECTIONS, SECTIONS, stack_schema

ROOT = Path(__file__).parents[3]
NODE = "0a1b2c3d-0000-4000-8000-0123456789ab"


def report(read_settings, **arguments):
    with pytest.raises(SettingsError) as caught:
        read_settings(**arguments)
    return str(caught.value)


# What a stack gets


def test_an_empty_stack_file_gives_the_names_that_the_documents_use(read_settings):
    settings = read_settings()
    assert settings.registry.name == "docker-registry"
    assert settings.registry.service == "registry"
    assert settings.registry.image == "registry:3"
    assert (settings.registry.port, settings.registry.debug_port) == (5000, 5001)
    assert settings.volume == "registry_data"
    assert settings.vault.mount == "secret"
    assert settings.registry_address == "registry.homelab.local:5000"
    assert settings.registry_url == "https://registry.homelab.local"


def test_a_further_stack_derives_its_names_from_the_name_of_its_registry(read_settings):
    settings = read_settings(registry={"name": "team-images"}, maintenance={"backup": {}})
    assert settings.registry.service == "team-images"
    assert settings.volume == "team_images_data"
    assert settings.backup_volume == "team_images_backup"
    assert set(settings.secret_paths.values()) == {
        "secret/data/team-images/http",
        "secret/data/team-images/users",
    }
    assert settings.volume_path == PurePosixPath("/volume1/nomad/volumes/team_images_data")


@pytest.mark.parametrize(
    ("storage", "path"),
    [
        ({}, "/volume1/nomad/volumes/registry_data"),
        ({"class": "none"}, "/volume1/nomad/volumes/registry_data"),
        ({"class": "high_capacity"}, "/volume1/nomad/volumes/high_capacity/registry_data"),
        ({"class": "high_capacity", "root": "/srv", "volume": "images"}, "/srv/high_capacity/images"),
        ({"class": "high_capacity", "path": "/mnt/images"}, "/mnt/images"),
    ],
)
def test_the_directory_is_the_path_or_else_root_class_and_volume(read_settings, storage, path):
    settings = read_settings(storage=storage)
    assert str(settings.volume_path) == path
    assert f'path      = "{path}"' in settings.volume_stanza
    assert f'host_volume "{settings.volume}"' in settings.volume_stanza


def test_the_url_names_the_port_of_an_entry_point_other_than_443(read_settings):
    assert read_settings(tls={"port": 8443}).registry_url == "https://registry.homelab.local:8443"


def test_vault_finds_nomads_keys_at_nomads_address_unless_told_otherwise(read_settings):
    assert read_settings().nomad_jwks_url == "http://127.0.0.1:4646/.well-known/jwks.json"
    told = read_settings(vault={"workload": {"jwksUrl": "https://nomad.lan/keys"}})
    assert told.nomad_jwks_url == "https://nomad.lan/keys"


@pytest.mark.parametrize(
    ("registry", "version"),
    [
        ({"image": "registry:2"}, "2"),
        ({"image": "registry:2.8.3"}, "2"),
        ({"image": "registry:3"}, "3"),
        ({"image": "localhost/x/registry:3.1.1"}, "3"),
        ({"image": "mirror.lan/registry:stable", "version": 2}, "2"),
    ],
)
def test_the_image_or_registry_version_tells_the_major_version(read_settings, registry, version):
    assert read_settings(registry=registry).registry_version == version


def test_the_config_is_merged_over_the_defaults(read_settings):
    config = read_settings(registry={"config": {"log": {"level": "debug"}}}).registry_config
    assert config["log"]["level"] == "debug"
    assert config["log"]["formatter"] == "json"


def test_a_section_removed_with_null_keeps_what_the_job_relies_on(read_settings):
    config = read_settings(registry={"config": {"http": None}}).registry_config
    assert config["http"]["addr"] == ":5000"
    assert config["http"]["debug"]["addr"] == ":5001"


def test_a_config_written_as_null_is_an_empty_one(read_settings):
    assert read_settings(registry={"config": None}).registry_config == read_settings().registry_config


def test_secrets_of_the_config_are_found_by_their_place(read_settings):
    azure = {
        "accountname": "a",
        "container": "c",
        "accountkey": "s3cr3t",
        "credentials": {"type": "shared_key"},
    }
    settings = read_settings(registry={"config": {"storage": {"filesystem": None, "azure": azure}}})
    assert settings.config_secrets["storage.azure.accountkey"] == "s3cr3t"


def test_a_token_in_a_header_of_any_name_goes_to_vault(read_settings):
    hook = {"name": "hook", "url": "https://hook.lan", "headers": {"X-Gitlab-Token": ["hunter2"]}}
    config = {"log": {"level": "warn"}, "notifications": {"endpoints": [hook]}}

    secrets = read_settings(registry={"config": config}, access={"bind": "127.0.0.1"}).config_secrets

    assert secrets == {"notifications.endpoints.0.headers.X-Gitlab-Token.0": "hunter2"}


@pytest.fixture
def tracked(read_settings):
    """The settings of a stack file of the repository, and the sections that it has."""

    def read(stack):
        config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
        servers = {key: value for key, value in config.items() if not key.startswith("docker-registry:")}
        sections = {key.partition(":")[2]: value for key, value in config.items() if key not in servers}
        return read_settings(servers=servers, stack=stack, **sections), sections

    return read


def test_the_stack_for_the_nas_is_accepted_as_it_is_in_the_repository(tracked):
    settings, sections = tracked("homelab")
    assert set(sections) == set(SECTIONS) - OPTIONAL_SECTIONS
    assert str(settings.volume_path) == "/volume1/nomad/volumes/high_capacity/registry_data"


def test_the_example_of_a_second_stack_shares_no_name_port_or_directory_with_the_first(tracked):
    stacks = [tracked(stack)[0] for stack in ("homelab", "staging")]
    own = [
        {
            each.registry.name,
            each.registry.namespace,
            each.registry.service,
            each.registry.hostname,
            each.registry.port,
            each.registry.debug_port,
            each.registry.homepage.name,
            each.keys_job,
            each.pull_job,
            each.pki_mount,
            each.volume,
            each.volume_path,
            *each.secret_paths.values(),
        }
        for each in stacks
    ]
    assert own[0].isdisjoint(own[1])
    assert stacks[0].providers == stacks[1].providers


# What is refused


REFUSED = {
    "an unknown section": (
        {"auht": {}},
        "docker-registry:auht: unknown key; did you mean auth?",
    ),
    "a path that was set without --path": (
        {"registry.memory": 600},
        "docker-registry:registry.memory: is a path, which needs --path: `pulumi config rm "
        "docker-registry:registry.memory`, then `pulumi config set --path docker-registry:registry.memory "
        "VALUE`",
    ),
    "a place in a list that was set without --path": (
        {"mirrors[0].port": 5010},
        "docker-registry:mirrors[0].port: is a path, which needs --path: `pulumi config rm "
        "'docker-registry:mirrors[0].port'`",
    ),
    "an unknown key": (
        {"registry": {"memroy": 512}},
        "docker-registry:registry.memroy: unknown key; did you mean memory?",
    ),
    "an unknown key in a nested section": (
        {"storage": {"owner": {"user": 1000}}},
        "docker-registry:storage.owner.user: unknown key; known are gid, mode, uid",
    ),
    "a wrong type": (
        {"registry": {"memory": "much"}},
        "docker-registry:registry.memory: 'much' is not a whole number",
    ),
    "a CPU share that Docker refuses": (
        {"registry": {"cpu": 1}},
        "docker-registry:registry.cpu: 1 is less than 2, which is the limit",
    ),
    "a list where a mapping belongs": (
        {"tls": ["traefik"]},
        "docker-registry:tls: the value (not shown) is not a mapping of keys to values",
    ),
    "an unknown enum value": (
        {"vault": {"identity": "jwt"}},
        "docker-registry:vault.identity: 'jwt' is not one of workload, policies",
    ),
    "an unknown auth mode": (
        {"auth": {"mode": "htpaswd"}},
        "docker-registry:auth.mode: 'htpaswd' is not one of htpasswd, vault, external, none",
    ),
    "a port too high": (
        {"registry": {"port": 70000}},
        "docker-registry:registry.port: 70000 is more than 65535, which is the limit",
    ),
    "a port too low": (
        {"tls": {"port": 0}},
        "docker-registry:tls.port: 0 is less than 1, which is the limit",
    ),
    "a port used twice": (
        {"registry": {"port": 5001}},
        "docker-registry:registry.debugPort: 5001 is registry.port already; give each its own",
    ),
    "a host name that is none": (
        {"registry": {"hostname": "https://registry"}},
        "docker-registry:registry.hostname: 'https://registry' is no host name; "
        "write it like registry.homelab.local",
    ),
    "a relative path": (
        {"storage": {"path": "data/images"}},
        "docker-registry:storage.path: 'data/images' is no absolute path; "
        "write it like /volume1/nomad/volumes",
    ),
    "a path that climbs": (
        {"storage": {"root": "/srv/../etc"}},
        "docker-registry:storage.root: '/srv/../etc' is no absolute path; "
        "write it like /volume1/nomad/volumes",
    ),
    "a key that is no SSH host key": (
        {"storage": {"host": {"address": "nas.lan", "hostKey": "SHA256:abc"}}},
        "docker-registry:storage.host.hostKey: is no SSH host key; "
        "`ssh-keyscan HOST` prints it, without the host name",
    ),
    "a host without its key": (
        {"storage": {"host": {"address": "nas.lan"}}},
        "docker-registry:storage.host.hostKey: is required",
    ),
    "a dynamic volume without its node": (
        {"storage": {"kind": "dynamic"}},
        "docker-registry:storage.nodeId: is required with kind dynamic; "
        "`nomad node status -verbose` prints it",
    ),
    "a static volume with a node": (
        {"storage": {"nodeId": NODE}},
        "docker-registry:storage.nodeId: is for kind dynamic only; remove it, or set storage.kind to dynamic",
    ),
    "a plaintext password": (
        {"auth": {"users": {"alice": "hunter2hunter2"}}},
        "docker-registry:auth.users.alice: is no bcrypt hash; "
        "set the password with `python -m ops users set NAME`",
    ),
    "an image that does not tell its version": (
        {"registry": {"image": "registry:latest"}},
        "docker-registry:registry.image: 'registry:latest' does not tell the registry's major version; "
        "set registry.version to 2 or 3",
    ),
    "a 3.x key on a 2.x image": (
        {"registry": {"image": "registry:2", "config": {"http": {"h2c": {"enabled": True}}}}},
        "docker-registry:registry.config.http.h2c: needs distribution 3.x",
    ),
    "a 2.x key on a 3.x image": (
        {"registry": {"config": {"compatibility": {"schema1": {"enabled": True}}}}},
        "docker-registry:registry.config.compatibility: removed in 3.0",
    ),
    "reporting on 3.x": (
        {"registry": {"config": {"reporting": {"newrelic": {"name": "x"}}}}},
        "docker-registry:registry.config.reporting: removed in 3.0",
    ),
    "TLS 1.0 on 3.x": (
        {
            "tls": {"mode": "registry"},
            "registry": {"config": {"http": {"tls": {"minimumtls": "tls1.0"}}}},
        },
        "docker-registry:registry.config.http.tls.minimumtls: 'tls1.0' is not known to distribution 3.x: "
        "must be one of tls1.2, tls1.3",
    ),
    "two storage drivers": (
        {"registry": {"config": {"storage": {"s3": {"region": "eu", "bucket": "images"}}}}},
        "docker-registry:registry.config.storage: must have exactly one driver",
    ),
    "a duration without unit": (
        {"registry": {"config": {"http": {"draintimeout": "60"}}}},
        "docker-registry:registry.config.http.draintimeout: '60' must be a duration with a unit",
    ),
}


@pytest.mark.parametrize(("sections", "line"), REFUSED.values(), ids=REFUSED)
def test_a_bad_setting_is_refused_with_its_file_key_and_accepted_form(read_settings, sections, line):
    text = report(read_settings, stack="homelab", **sections)
    assert f"Pulumi.homelab.yaml: {line}" in text
    assert all(each.startswith("Pulumi.homelab.yaml: ") for each in text.splitlines())


@pytest.mark.parametrize(
    ("key", "variable"),
    [
        ("nomad:address", "NOMAD_ADDR"),
        ("consul:address", "CONSUL_HTTP_ADDR"),
        ("vault:address", "VAULT_ADDR"),
    ],
)
def test_a_missing_server_address_is_refused_with_both_ways_to_set_it(read_settings, key, variable):
    text = report(read_settings, servers={})
    [line] = [each for each in text.splitlines() if key in each]
    assert line.startswith(f"Pulumi.dev.yaml: {key}: ")
    assert f"set it, or {variable}" in line


def test_all_that_is_wrong_is_in_one_report(read_settings):
    text = report(
        read_settings,
        servers={},
        registry={
            "memroy": 1,
            "port": 70000,
            "hostname": "no host",
            "config": {"reporting": {}, "http": {"draintimeout": "60"}},
        },
        storage={"path": "data", "kind": "dynamic"},
        vault={"identity": "jwt"},
        tls={"port": "https"},
        auth={"users": {"alice": "hunter2hunter2"}},
        monitor={},
    )
    keys = [line.split(": ")[1] for line in text.splitlines()]
    assert keys == [
        "consul:address",
        "docker-registry:auth.users.alice",
        "docker-registry:monitor",
        "docker-registry:registry.config.http.draintimeout",
        "docker-registry:registry.config.reporting",
        "docker-registry:registry.hostname",
        "docker-registry:registry.memroy",
        "docker-registry:registry.port",
        "docker-registry:storage.nodeId",
        "docker-registry:storage.path",
        "docker-registry:tls.port",
        "docker-registry:vault.identity",
        "nomad:address",
        "vault:address",
    ]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("http.addr", "registry.port"),
        ("http.debug", "registry.debugPort"),
        ("http.secret", "kept in Vault"),
        ("auth", "auth.mode"),
        ("storage.filesystem.rootdirectory", "storage.path"),
    ],
)
def test_a_key_of_the_config_that_another_setting_owns_is_refused_naming_it(read_settings, path, reason):
    config = "x"
    for step in reversed(path.split(".")):
        config = {step: config}
    text = report(read_settings, registry={"config": config})
    [line] = [each for each in text.splitlines() if "is not set here" in each]
    assert f"docker-registry:registry.config.{path}: " in line
    assert reason in line


@pytest.mark.parametrize(
    "sections",
    [
        {"auth": {"users": {"alice": "hunter2hunter2"}}},
        {"auth": {"users": "hunter2hunter2"}},
        {"auth": "hunter2hunter2"},
        {"auth": [{"alice": "hunter2hunter2"}]},
        {"auth": {"mode": {"alice": "hunter2hunter2"}}},
        {"storage": {"host": "hunter2hunter2"}},
        {"auth": {"users": {"alice": {"password": "hunter2hunter2"}}}},
        {"auth": {"users": {"alice": ["hunter2hunter2"]}}},
        {"storage": {"host": {"address": "nas.lan", "hostKey": "x", "privateKey": ["hunter2hunter2"]}}},
        {"registry": {"config": {"http": {"secret": "hunter2hunter2"}}}},
        {"registry": {"config": {"storage": {"filesystem": None, "s3": {"secretkey": "hunter2hunter2"}}}}},
    ],
    ids=json.dumps,
)
def test_a_secret_is_never_printed_in_a_report(read_settings, sections):
    assert "hunter2hunter2" not in report(read_settings, **sections)


@pytest.mark.parametrize("key", ["password", "user"])
def test_a_misplaced_password_is_never_printed_in_a_report(read_settings, key):
    assert "hunter2hunter2" not in report(read_settings, auth={key: "hunter2hunter2"})


@pytest.mark.parametrize("name", ["a b", "a:b", "", "x" * 129])
def test_a_user_name_that_htpasswd_cannot_hold_is_refused(read_settings, bcrypt_hash, name):
    assert "a user name has no colon and no white space" in report(
        read_settings, auth={"users": {name: bcrypt_hash}}
    )


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_every_kind_of_bcrypt_hash_that_the_registry_reads_is_accepted(read_settings, bcrypt_hash, prefix):
    entry = prefix + bcrypt_hash[4:]
    assert read_settings(auth={"users": {"alice": entry}}).auth.users == {"alice": entry}


@pytest.mark.parametrize("kind", [[["x"]], {"x": ["x"]}], ids=["list", "mapping"])
@pytest.mark.parametrize(
    ("section", "key"),
    [
        (section.partition(":")[2], key)
        for section, schema in stack_schema()["properties"]["config"]["properties"].items()
        for key in schema.get("properties", {})
    ],
)
def test_a_list_or_a_mapping_in_the_place_of_anything_is_refused_with_its_key(
    read_settings, section, key, kind
):
    # Compared with other sections: each wants names and ports of its own.
    mirror = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
    sections = {"mirrors": [mirror], "monitoring": {}, section: {key: kind}}
    if (section, key) == ("registry", "config"):
        sections[section] = {key: [kind]}  # a mapping belongs there

    assert f"docker-registry:{section}.{key}" in report(read_settings, **sections)


# The schema


def test_the_schema_in_docs_is_the_one_that_the_settings_give():
    written = json.loads((ROOT / "docs" / "stack.schema.json").read_text())
    assert written == stack_schema(), (
        "docs/stack.schema.json is old; write it anew: "
        ".venv/bin/python -m ops schema > docs/stack.schema.json"
    )


@pytest.mark.parametrize("stack", ["homelab", "staging"])
def test_the_schema_knows_every_key_of_the_tracked_stacks(stack):
    schema = stack_schema()
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    known = schema["properties"]["config"]["properties"]
    for section, value in config.items():
        if section.startswith("docker-registry:"):
            assert unknown_keys(value, known[section], schema["definitions"]) == []


def unknown_keys(value, node, definitions):
    """Keys that the schema, followed through its references, does not have."""
    choices = [
        definitions[each["$ref"].rsplit("/", 1)[-1]] if "$ref" in each else each
        for each in node.get("anyOf", [node])
    ]
    properties = {key: inner for each in choices for key, inner in each.get("properties", {}).items()}
    if not properties or not isinstance(value, dict):
        return []
    missing = [key for key in value if key not in properties]
    return missing + [
        f"{key}.{each}"
        for key, inner in value.items()
        if key in properties
        for each in unknown_keys(inner, properties[key], definitions)
    ]


def test_the_schema_takes_an_encrypted_user_as_the_stack_file_holds_it():
    users = stack_schema()["properties"]["config"]["properties"]["docker-registry:auth"]["properties"][
        "users"
    ]
    [secure] = [each for each in users["additionalProperties"]["anyOf"] if "properties" in each]
    assert secure["required"] == ["secure"]
