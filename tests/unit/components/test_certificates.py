import pulumi
import pytest

from components.certificates import certificates, consul_ca, vault_ca

SERVERS = {
    "nomad:address": "http://127.0.0.1:4646",
    "consul:address": "https://127.0.0.1:8501",
    "vault:address": "https://127.0.0.1:8200",
}


def test_jobs_trust_what_the_providers_trust(read_settings, tmp_path):
    for name in ("vault", "consul"):
        (tmp_path / name).write_text(f"certificates of {name}")
    files = {"vault:caCertFile": str(tmp_path / "vault"), "consul:caFile": str(tmp_path / "consul")}
    settings = read_settings(servers={**SERVERS, **files})

    assert vault_ca(settings) == "certificates of vault"
    assert consul_ca(settings) == "certificates of consul"
    assert (vault_ca(read_settings()), consul_ca(read_settings())) == (None, None)


def test_a_file_that_cannot_be_read_is_named_with_its_setting():
    with pytest.raises(pulumi.RunError, match="consul:caFile: cannot read /none: No such file"):
        certificates("/none", "consul:caFile")


def test_a_private_key_is_kept_out_of_the_job(tmp_path):
    (tmp_path / "all.pem").write_text("-----BEGIN PRIVATE KEY-----\n")

    with pytest.raises(pulumi.RunError, match=r"all\.pem has a private key in it"):
        certificates(str(tmp_path / "all.pem"), "consul:caFile")
