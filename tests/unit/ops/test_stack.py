import json

import pytest
import yaml

from config.problems import SettingsError
from ops.stack import Stack, StackError

SERVERS = {
    "nomad:address": "http://127.0.0.1:4646",
    "consul:address": "127.0.0.1:8500",
    "vault:address": "http://127.0.0.1:8200",
}


def test_the_named_stack_is_taken_without_asking_pulumi(pulumi):
    assert Stack.selected("homelab").name == "homelab"
    assert pulumi.calls == []


def test_without_a_name_the_selected_stack_is_taken(pulumi):
    assert Stack.selected(None).name == "dev"


def test_wrong_settings_are_one_report(pulumi):
    pulumi.configure({"docker-registry:tls": '{"mode": "no"}'})

    with pytest.raises(
        SettingsError, match=r"Pulumi\.dev\.yaml: docker-registry:tls\.mode: 'no' is not one of"
    ):
        Stack("dev").settings()


def test_what_the_stack_file_encrypts_is_marked_and_kept_secret(pulumi, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "redis": {"addrs": ["10.0.0.1:6379"], "username": {"secure": "v1:abc"}},
        "storage": {"cache": {"blobdescriptor": "redis"}},
    }
    (tmp_path / "Pulumi.dev.yaml").write_text(
        yaml.safe_dump({"config": {"docker-registry:registry": {"config": config}}})
    )
    config["redis"]["username"] = "planted"
    section = json.dumps({"config": config})
    pulumi.configure({**SERVERS, "docker-registry:registry": section}, secret=["docker-registry:registry"])

    settings = Stack("dev").settings()

    assert settings.config_secrets == {"redis.username": "planted"}
    assert "planted" not in repr(settings)


def test_without_the_stack_file_in_use_nothing_is_read_that_may_be_secret(pulumi, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    pulumi.configure(
        {**SERVERS, "docker-registry:auth": '{"users": {"alice": "planted"}}'},
        secret=["docker-registry:auth"],
    )

    with pytest.raises(SettingsError, match="auth: has something encrypted, and only the stack file tells"):
        Stack("dev").settings()


def test_pulumis_own_error_is_kept(pulumi):
    (pulumi.folder / "pulumi").write_text(
        "#!/bin/sh\necho \"error: no stack named 'x' found\" >&2\nexit 255\n"
    )

    with pytest.raises(StackError, match="error: no stack named 'x' found"):
        Stack("x").config()


def test_an_error_that_a_terraform_provider_logs_and_returns_is_told_once(pulumi):
    told = ["  sdk-v2/provider2.go:572: sdk.helper_schema: denied: provider=vault@7.9.0", "1 error: denied"]
    said = json.dumps({"diagnostics": [{"severity": "error", "message": each} for each in told]})
    (pulumi.folder / "pulumi").write_text(f"#!/bin/sh\necho '{said}'\nexit 1\n")

    with pytest.raises(StackError) as raised:
        Stack("x").preview()

    assert str(raised.value) == "1 error: denied"


def test_without_pulumi_the_way_to_get_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match="pulumi is not on PATH"):
        Stack.selected(None)


def test_what_was_deployed_is_read_from_the_state_with_its_secrets(pulumi):
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"s.old"'}
    inputs = {"address": "http://old:8200", "token": secret, "__internal": {}}
    resources = [
        {"urn": "urn::stack", "type": "pulumi:pulumi:Stack"},
        {"urn": "urn::vault", "type": "pulumi:providers:vault", "inputs": inputs},
    ]
    pulumi.export({"deployment": {"resources": resources}})

    stack, vault = Stack("dev").deployed()

    assert (stack.type, stack.inputs) == ("pulumi:pulumi:Stack", {})
    assert (vault.urn, vault.inputs["address"]) == ("urn::vault", "http://old:8200")
    assert vault.inputs["token"] == "s.old"
    assert "s.old" not in repr(vault)


def test_a_stack_that_was_never_deployed_has_nothing_yet(pulumi):
    pulumi.export({"version": 3, "deployment": {"resources": None}})

    assert Stack("dev").deployed() == []
