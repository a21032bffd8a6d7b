import pytest

from config.problems import SettingsError
from ops.stack import Stack, StackError


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


def test_pulumis_own_error_is_kept(pulumi):
    (pulumi.folder / "pulumi").write_text(
        "#!/bin/sh\necho \"error: no stack named 'x' found\" >&2\nexit 255\n"
    )

    with pytest.raises(StackError, match="error: no stack named 'x' found"):
        Stack("x").config()


def test_without_pulumi_the_way_to_get_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match="pulumi is not on PATH"):
        Stack.selected(None)
