import pytest

from config.problems import SettingsError
from ops.client import Client
from ops.stack import Stack, StackError

SECRET = {"secure": "v1:abc:def"}
OIDC = {
    "discoveryUrl": "https://id.homelab.local",
    "clientId": "vault",
    "clientSecret": SECRET,
    "groups": {"developers": ["ci-app"]},
}
GRANT = {"repositories": {"ci/app": ["pull"]}}


def read():
    return Client.read(Stack("dev"))


def test_a_stack_is_read_from_its_file_with_its_secrets_left_encrypted(client_machine, vault):
    client_machine(
        registry={"hostname": "images.lan", "port": 5443, "image": "registry:3", "config": {"http": SECRET}},
        tls={"mode": "registry", "port": 8443},
        auth={"mode": "vault", "grants": {"ci-app": GRANT}, "users": {"alice": SECRET}, "oidc": OIDC},
    )

    client = read()

    assert client.names.client_addresses == ("images.lan:5443", "images.lan:8443")
    assert client.grants == ("ci-app",)
    assert client.groups == {"developers": ("ci-app",)}
    assert client.has_oidc
    assert client.vault.address == vault.address


def test_a_section_that_was_set_as_json_text_is_read(client_machine):
    client_machine(auth='{"mode": "vault", "grants": {"ci-app": {}}}')

    assert read().grants == ("ci-app",)


@pytest.mark.parametrize("shared", [{"count": 2}, {"scaling": {"min": 1, "max": 3}}])
def test_several_instances_have_no_port_of_their_own(client_machine, shared):
    client_machine(registry={"hostname": "images.lan", **shared})

    assert read().names.client_addresses == ("images.lan",)


def test_a_stack_file_without_sections_has_the_defaults(client_machine):
    client_machine()

    client = read()
    assert client.names.client_addresses == ("registry.homelab.local:5000", "registry.homelab.local")
    assert (client.auth_mode, client.grants, client.has_oidc) == ("htpasswd", (), False)


def test_a_full_stack_name_finds_the_same_file(client_machine):
    client_machine(registry={"hostname": "images.lan"})

    assert Client.read(Stack("organization/docker-registry/dev")).names.registry.hostname == "images.lan"


def test_the_deployers_token_in_the_file_is_nobody_elses(client_machine, monkeypatch, tmp_path):
    client_machine()
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(f"{file.read_text()}  vault:token: deployers\n")
    assert read().vault.token is None

    monkeypatch.setenv("VAULT_TOKEN", "my-own")
    assert read().vault.token == "my-own"


def test_without_an_address_in_the_file_that_of_the_environment_counts(client_machine, monkeypatch, tmp_path):
    client_machine()
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    monkeypatch.setenv("VAULT_ADDR", "https://vault.lan:8200")
    monkeypatch.setenv("VAULT_CACERT", "/ca.pem")

    assert (read().vault.address, read().vault.ca_file) == ("https://vault.lan:8200", "/ca.pem")


def test_everything_that_is_wrong_is_one_report(client_machine, tmp_path):
    client_machine(registry={"port": "x"}, tls={"mode": "no"}, auth=SECRET)

    with pytest.raises(SettingsError) as error:
        read()

    assert [problem.key for problem in error.value.problems] == [
        "docker-registry:auth",
        "docker-registry:registry.port",
        "docker-registry:tls.mode",
    ]
    assert "encrypt only the secrets in it" in str(error.value)


def test_text_that_is_no_json_is_in_the_report(client_machine):
    client_machine(mirrors="[{name: hub}", tls="{mode")

    with pytest.raises(SettingsError) as error:
        read()

    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("docker-registry:mirrors", "is no JSON"),
        ("docker-registry:tls", "is no JSON"),
    ]


def test_a_stack_without_a_file_here_is_refused(client_machine):
    client_machine()

    with pytest.raises(StackError, match=r"Pulumi\.nas\.yaml is not in .*: run this in the project's folder"):
        Client.read(Stack("nas"))


def test_a_file_that_is_no_yaml_is_refused(client_machine, tmp_path):
    (tmp_path / "Pulumi.dev.yaml").write_text("config: [\n")

    with pytest.raises(StackError, match=r"Pulumi\.dev\.yaml is no YAML"):
        read()
