import pytest

from config.problems import SettingsError

SERVERS = {
    "nomad:address": "https://nas.lan:4646",
    "consul:address": "https://nas.lan:8501",
    "vault:address": "https://vault.lan:8200",
}
SCAN = {"maintenance": {"scan": {}}}
BACKUP = {"maintenance": {"backup": {}}}
VAULT = {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"ci/app": ["pull"]}}}}}


def problems(read_settings, servers, **sections):
    with pytest.raises(SettingsError) as caught:
        read_settings(servers={**SERVERS, **servers}, **sections)
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("sections", "setting", "jobs", "instead"),
    [
        (SCAN, "consul:insecureHttps", "maintenance.scan", "consul:caFile"),
        (VAULT, "vault:skipTlsVerify", "auth.mode vault", "vault:caCertFile"),
        (BACKUP, "vault:skipTlsVerify", "maintenance.backup", "vault:caCertFile"),
    ],
)
def test_a_certificate_that_a_job_would_check_is_not_to_be_skipped(
    read_settings, sections, setting, jobs, instead
):
    [line] = problems(read_settings, {setting: "true"}, **sections)

    assert line.startswith(f"{setting}: (or ")
    assert f"is not for the jobs of {jobs}, which check the certificate of" in line
    assert f"set {instead} to the file of its authority, and remove this" in line


def test_a_client_certificate_that_a_job_has_not_is_refused(read_settings):
    pair = {"consul:certFile": "/c.pem", "consul:keyFile": "/k.pem"}

    assert problems(read_settings, pair, maintenance={"scan": {}, "backup": {}}) == [
        "consul:certFile: (or CONSUL_CLIENT_CERT) is not for the jobs of maintenance.backup and "
        "maintenance.scan, which have no certificate to show: let consul:address be one that asks for none, "
        "and remove this"
    ]


@pytest.mark.parametrize(
    ("servers", "sections"),
    [
        (
            {"consul:insecureHttps": "true", "vault:skipTlsVerify": "true"},
            {"maintenance": {"garbageCollection": {}}},
        ),
        ({"consul:insecureHttps": "true", "consul:caFile": "/ca.pem"}, SCAN),
        ({"consul:insecureHttps": "true", "consul:address": "http://nas.lan:8500"}, SCAN),
        ({"nomad:skipVerify": "true", "nomad:certFile": "/c.pem", "nomad:keyFile": "/k.pem"}, BACKUP),
    ],
    ids=["no job asks", "the authority is known", "no TLS", "Nomad is asked by a socket"],
)
def test_what_no_job_needs_is_left_to_the_providers(read_settings, servers, sections):
    assert read_settings(servers={**SERVERS, **servers}, **sections)
