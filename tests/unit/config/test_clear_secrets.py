import pytest

from config.clear_secrets import clear_secrets


@pytest.mark.parametrize(
    ("section", "written", "key"),
    [
        ("mirrors", [{"name": "a"}, {"name": "b", "password": "hunter2"}], "mirrors[1].password"),
        ("mirrors", '[{"password": "hunter2"}]', "mirrors[0].password"),
        ("maintenance", {"backup": {"s3": {"secretKey": "hunter2"}}}, "maintenance.backup.s3.secretKey"),
        ("storage", {"s3": {"secretKey": "hunter2"}}, "storage.s3.secretKey"),
        ("registry", {"redis": {"password": "hunter2"}}, "registry.redis.password"),
        ("mirrors", [{"password": 12345}], "mirrors[0].password"),
        ("auth", {"oidc": {"clientId": "vault", "clientSecret": "hunter2"}}, "auth.oidc.clientSecret"),
        ("access", {"trustedHosts": [{"privateKey": "hunter2"}]}, "access.trustedHosts[0].privateKey"),
        ("storage", {"host": {"privateKey": "hunter2"}}, "storage.host.privateKey"),
    ],
)
def test_a_secret_in_clear_is_found_by_its_place_and_not_shown(section, written, key):
    (problem,) = clear_secrets({f"docker-registry:{section}": written})

    assert problem.key == f"docker-registry:{key}"
    assert f"`pulumi config set --secret --path 'docker-registry:{key}'`" in problem.message
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "written",
    [
        [{"name": "a", "password": {"secure": "v1:abc"}}],
        {"secure": "v1:abc"},
        [{"name": "a"}],
        "no json",
        None,
    ],
)
def test_what_is_encrypted_or_not_there_is_fine(written):
    assert clear_secrets({"docker-registry:mirrors": written}) == []


def test_a_password_in_the_registrys_own_configuration_goes_to_vault_however_it_is_written():
    config = {"redis": {"password": "hunter2"}}

    assert clear_secrets({"docker-registry:registry": {"config": config}, "vault:password": "x"}) == []
