"""What the servers are told."""

import re
from pathlib import Path

from cryptography import x509

from devcluster import consul, nomad, openbao, traefik
from devcluster.instance import Instance, Ports

INSTANCE = Instance(root=Path("/srv/cluster"), ports=Ports.shifted(1))


def nomad_config(**changes):
    instance = Instance(root=Path("/srv/cluster"), **changes)
    return nomad.config(instance, "unix:///srv/docker.sock", "token")


def test_every_port_of_the_table_that_a_server_listens_on_is_in_its_configuration():
    ports = INSTANCE.ports
    assert str(ports.consul_serf_wan) in str(consul.config(INSTANCE))
    assert str(ports.vault_cluster) in str(openbao.config(INSTANCE))
    assert str(ports.traefik_tls) in str(traefik.config(INSTANCE))
    assert str(ports.nomad_serf) in str(nomad.config(INSTANCE, "unix:///d", "t"))


def test_nothing_listens_beyond_loopback():
    for config in (
        consul.config(INSTANCE),
        openbao.config(INSTANCE),
        traefik.config(INSTANCE),
        nomad_config(),
    ):
        addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", str(config)))
        assert addresses == {"127.0.0.1"}


def test_nomad_keeps_images_and_other_clusters_containers():
    (docker,) = nomad_config()["plugin"]
    collector = docker["docker"]["config"]["gc"]
    assert collector["image"] is False
    assert collector["dangling_containers"] == {"enabled": False}


def test_only_test_clusters_may_run_plain_commands():
    assert "raw_exec" not in str(nomad_config())
    assert "raw_exec" in str(nomad_config(raw_exec=True))


def test_traefik_does_not_cut_a_long_push():
    entry = traefik.config(INSTANCE)["entryPoints"]["websecure"]
    assert entry["transport"]["respondingTimeouts"]["readTimeout"] == "0s"


def test_the_certificate_authority_is_made_once_for_the_registrys_name(tmp_path):
    instance = Instance(root=tmp_path)
    traefik.prepare(instance)
    first = instance.ca_certificate.read_bytes()
    traefik.prepare(instance)
    assert instance.ca_certificate.read_bytes() == first
    certificate = x509.load_pem_x509_certificate((tmp_path / "tls" / "server.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "registry.homelab.local" in names.get_values_for_type(x509.DNSName)
    assert (tmp_path / "tls" / "server.key").stat().st_mode & 0o777 == 0o600


def test_openbaos_key_is_made_once_and_private(tmp_path):
    instance = Instance(root=tmp_path)
    openbao.prepare(instance)
    key = tmp_path / "vault" / "unseal.key"
    first = key.read_text()
    openbao.prepare(instance)
    assert key.read_text() == first
    assert key.stat().st_mode & 0o777 == 0o600
