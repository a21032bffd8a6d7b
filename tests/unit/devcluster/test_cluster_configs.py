"""What the servers are told."""

import os
import re
from pathlib import Path

import yaml
from cryptography import x509

from devcluster import consul, nomad, openbao, traefik
from devcluster.instance import CONTAINER_USER, Instance, Ports
from devcluster.stack import settings

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


def test_nomads_docker_logs_in_by_the_file_of_the_volume_that_jobs_write(tmp_path):
    instance = Instance(root=tmp_path)
    nomad.prepare(instance)
    config = nomad.config(instance, "unix:///d", "t")
    offered = {name: volume for each in config["client"]["host_volume"] for name, volume in each.items()}
    file = Path(config["plugin"][0]["docker"]["config"]["auth"]["config"])

    assert str(file.parent) == offered["registry_auth"]["path"]
    assert file.read_text() == "{}"  # with the file missing Nomad refuses every pull
    file.write_text("kept")
    nomad.prepare(instance)
    assert file.read_text() == "kept"


def test_nomad_offers_a_volume_for_backups_that_the_registrys_user_can_write(tmp_path):
    instance = Instance(root=tmp_path)
    nomad.prepare(instance)
    offered = {name: v for each in nomad_config()["client"]["host_volume"] for name, v in each.items()}

    assert offered["registry_backup"]["path"].endswith("/registry_backup")
    assert instance.backup_volume.stat().st_uid == (os.getuid() or CONTAINER_USER)


def test_nomad_offers_a_volume_for_what_mirrors_cache_where_the_stack_makes_its_directory(read_settings):
    offered = {name: v for each in nomad_config()["client"]["host_volume"] for name, v in each.items()}
    stack = yaml.safe_load(settings(Instance(root=Path("/srv/cluster")), uid=1000, gid=1000))["config"]

    made = read_settings(storage=stack["docker-registry:storage"])

    assert offered[made.cache_volume]["path"] == str(made.cache_path)


def test_nomad_offers_the_volume_of_the_example_of_a_second_stack(tmp_path):
    instance = Instance(root=tmp_path)
    nomad.prepare(instance)
    offered = {name: v for each in nomad_config()["client"]["host_volume"] for name, v in each.items()}

    assert offered["registry_staging_data"]["path"].endswith("/high_capacity/registry_staging_data")
    assert instance.staging_volume.is_dir()


def test_only_test_clusters_may_run_plain_commands():
    assert "raw_exec" not in str(nomad_config())
    assert "raw_exec" in str(nomad_config(raw_exec=True))


def test_with_acls_each_server_has_a_token_of_its_own_at_consul_and_denies_the_rest(tmp_path):
    instance = Instance(root=tmp_path, acl=True)
    consul.prepare(instance)
    chosen = {name: consul.token(instance, name) for name in ("management", "agent", "nomad", "traefik")}
    consul.prepare(instance)  # another `up` keeps them

    acl = consul.config(instance)["acl"]
    assert acl["default_policy"] == "deny"
    assert acl["tokens"] == {"initial_management": chosen["management"], "agent": chosen["agent"]}
    assert nomad.config(instance, "unix:///d", "t")["consul"]["token"] == chosen["nomad"]
    assert nomad.config(instance, "unix:///d", "t")["acl"] == {"enabled": True}
    assert chosen["traefik"] in str(traefik.config(instance))
    assert len(set(chosen.values())) == len(chosen)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in (tmp_path / "consul").iterdir())


def test_without_acls_there_are_no_tokens(tmp_path):
    instance = Instance(root=tmp_path)
    consul.prepare(instance)

    assert not (tmp_path / "consul").exists()
    assert "acl" not in consul.config(instance)
    assert nomad.config(instance, "unix:///d", "t")["acl"] == {"enabled": False}
    assert consul.headers(instance) == {}


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
