import hashlib
import ssl
import subprocess

import pytest
import trustme

CA = trustme.CA().cert_pem.bytes().decode()
ADDRESSES = ["registry.homelab.local:5000", "registry.homelab.local"]


@pytest.fixture
def registry_tls(client_machine, vault):
    vault.answer("/v1/docker-registry-pki/ca/pem", CA)
    return client_machine(tls={"mode": "registry"})


def run(script, folder):
    """Run the printed commands as root would, in a folder in place of the root of the file system."""
    script = script.replace("/etc/", f"{folder}/etc/")
    subprocess.run(
        ["/bin/sh", "-eu"], input=script, cwd=folder, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )


def test_the_commands_put_the_ca_where_each_client_looks_for_it(ops, registry_tls, tmp_path):
    run(ops("trust", "--stack", "dev").stdout, tmp_path)

    for address in ADDRESSES:
        for place in ("docker", "containerd", "containers"):
            assert (tmp_path / "etc" / place / "certs.d" / address / "ca.crt").read_text() == CA
        hosts = (tmp_path / "etc/containerd/certs.d" / address / "hosts.toml").read_text()
        assert f'server = "https://{address}"' in hosts
        assert f'ca = "{tmp_path}/etc/containerd/certs.d/{address}/ca.crt"' in hosts


def test_the_mirrors_are_trusted_by_name_and_by_port(ops, client_machine, vault, tmp_path):
    vault.answer("/v1/docker-registry-pki/ca/pem", CA)
    mirror = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
    client_machine(tls={"mode": "registry"}, mirrors=[mirror])

    run(ops("trust", "--stack", "dev").stdout, tmp_path)

    for address in ("registry.homelab.local:5011", "quay.registry.homelab.local"):
        assert (tmp_path / "etc/docker/certs.d" / address / "ca.crt").read_text() == CA


def test_the_fingerprint_is_what_openssl_says(ops, registry_tls):
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(CA)).hexdigest().upper()

    printed = ops("trust", "--stack", "dev").stdout
    assert digest in printed.replace(":", "")


def test_what_no_test_runs_is_marked_so(ops, registry_tls):
    block = ops("trust", "--stack", "dev").stdout.split("# Synology")[1]

    assert "Not run by our tests" in block
    assert "mkdir -p /etc/docker/certs.d/registry.homelab.local:5000" in block


def test_pem_prints_the_certificate_and_nothing_else(ops, registry_tls):
    assert ops("trust", "--stack", "dev", "--pem").stdout == CA


def test_vault_is_asked_without_a_token(ops, registry_tls, vault, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.annas-own")

    ops("trust", "--stack", "dev")

    assert vault.asked == [("GET", "/v1/docker-registry-pki/ca/pem", None, {})]


def test_a_mount_of_ones_own_is_asked(ops, client_machine, vault):
    client_machine(tls={"mode": "registry", "authority": {"mount": "pki/homelab", "role": "servers"}})
    vault.answer("/v1/pki/homelab/ca/pem", CA)

    assert ops("trust", "--stack", "dev", "--pem").stdout == CA


def test_a_ca_that_is_not_there_yet_is_said_to_be_so(ops, client_machine, vault):
    client_machine(tls={"mode": "registry"})
    vault.answer("/v1/docker-registry-pki/ca/pem", "", 204)

    result = ops("trust", "--stack", "dev")
    assert "shows no certificate of an authority at docker-registry-pki/: `pulumi up` makes one" in str(
        result.exception
    )


def test_behind_traefik_its_certificate_is_taken_for_the_tls_name_only(ops, client_machine):
    client_machine(tls={"mode": "traefik", "port": 8443})

    printed = ops("trust", "--stack", "dev").stdout
    assert "openssl s_client -connect registry.homelab.local:8443" in printed
    assert "/etc/docker/certs.d/registry.homelab.local:8443/ca.crt" in printed
    assert "certs.d/registry.homelab.local:5000" not in printed


def test_behind_traefik_there_is_no_ca_of_the_stack_to_print(ops, client_machine):
    client_machine()

    result = ops("trust", "--stack", "dev", "--pem")
    assert result.exit_code == 1
    assert "tls.mode traefik: only mode registry has a CA of its own" in str(result.exception)


def test_plain_http_is_allowed_to_each_client_with_a_warning(ops, client_machine):
    client_machine(tls={"mode": "plain", "allowPlain": True})

    printed = ops("trust", "--stack", "dev").stdout
    assert '{"insecure-registries": ["registry.homelab.local:5000"]}' in printed
    assert "in clear" in printed
