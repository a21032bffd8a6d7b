import json

import pytest
import yaml

from config import registry as registry_model
from jobs.mirrors import MirrorsGrant, mirror_config, mirrors_job
from jobs.mirrors_evict import mirrors_evict_job
from jobs.nomad import render
from jobs.vault_login import VaultLogin

HUB = {"name": "docker-hub", "upstream": "https://registry-1.docker.io", "port": 5010}
QUAY = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
USERS = "secret/data/docker-registry/users"
LOGIN = VaultLogin(policy="docker-registry-mirrors", role=None)
OPEN = MirrorsGrant(login=None, upstream_paths={})


@pytest.fixture
def groups(read_settings):
    """Render the job and give its groups by their names."""

    def make(*mirrors, grant=OPEN, host_network=None, **sections):
        settings = read_settings(mirrors=list(mirrors), **sections)
        made = mirrors_job(settings, volume_source="registry_cache", grant=grant, host_network=host_network)
        return {group["Name"]: group for group in json.loads(render(made))["TaskGroups"]}

    return make


def tasks(group):
    return {task["Name"]: task for task in group["Tasks"]}


def templates(group):
    return {each["DestPath"]: each["EmbeddedTmpl"] for each in tasks(group)["registry"]["Templates"]}


def config_of(group):
    return yaml.safe_load(templates(group)["secrets/config.yml"].replace("{{", "'").replace("}}", "'"))


def test_a_group_says_nothing_of_the_others(groups):
    alone, both = groups(QUAY), groups(HUB, QUAY)

    assert list(both) == ["docker-hub", "quay"]
    assert both["quay"] == alone["quay"]


def test_each_has_a_directory_of_its_own_on_the_volume_for_caches(groups):
    made = groups(HUB, QUAY)

    for name, group in made.items():
        assert list(group["Volumes"]) == ["registry_cache"]
        (mount,) = tasks(group)["registry"]["VolumeMounts"]
        assert mount["Destination"] == "/var/lib/registry-cache"
        config = config_of(group)
        assert config["storage"]["filesystem"] == {"rootdirectory": f"/var/lib/registry-cache/{name}"}


def test_config_yml_is_that_of_a_pull_through_cache(groups):
    config = config_of(groups({**HUB, "ttl": "24h"})["docker-hub"])

    assert config["proxy"] == {"remoteurl": "https://registry-1.docker.io", "ttl": "24h"}
    assert config["storage"]["delete"] == {"enabled": True}
    assert "cache" not in config["storage"]
    assert config["http"]["draintimeout"] == "20s"


@pytest.mark.parametrize("image", ["registry:2", "registry:3"])
@pytest.mark.parametrize("ttl", ["168h", "0"])
def test_config_yml_is_one_that_the_registry_takes(read_settings, image, ttl):
    mirror = HUB if image == "registry:2" else {**HUB, "ttl": ttl}
    settings = read_settings(registry={"image": image}, mirrors=[mirror])

    config = mirror_config(settings, settings.mirrors.root[0])

    assert registry_model.check(config, settings.registry_version) == []


def test_it_runs_as_the_registry_does(groups):
    group = groups(HUB, storage={"owner": {"uid": 568, "gid": 569}})["docker-hub"]
    task = tasks(group)["registry"]

    assert task["User"] == "568:569"
    assert task["Config"]["args"] == ["serve", "/secrets/config.yml"]
    assert task["Config"]["cap_drop"] == ["all"] and task["Config"]["readonly_rootfs"] is True
    assert task["KillTimeout"] == 30 * 10**9, "longer than it drains"
    assert group["Update"]["AutoRevert"] is True


def test_its_port_is_given_and_nomad_chooses_the_one_for_metrics(groups):
    (network,) = groups(HUB, host_network="lan")["docker-hub"]["Networks"]

    assert network["ReservedPorts"] == [
        {"Label": "registry", "Value": 5010, "To": 5000, "HostNetwork": "lan"}
    ]
    assert network["DynamicPorts"] == [{"Label": "metrics", "To": 5001, "HostNetwork": "lan"}]


def test_traefik_routes_a_name_of_its_own(groups):
    made = groups(HUB, {**QUAY, "hostname": "quay.lan"}, access={"allowedCidrs": ["10.0.0.0/8"]})
    (hub, metrics), (quay, _) = (group["Services"] for group in made.values())

    assert hub["Name"] == "registry-mirror-docker-hub"
    router = "traefik.http.routers.registry-mirror-docker-hub"
    assert f"{router}.rule=Host(`docker-hub.registry.homelab.local`)" in hub["Tags"]
    middlewares = "registry-mirror-docker-hub,registry-mirror-docker-hub-retry"
    assert f"{router}.middlewares={middlewares}" in hub["Tags"]
    assert hub["Checks"][0]["Path"] == "/"
    assert {each["Checks"][0]["FailuresBeforeCritical"] for each in (hub, metrics)} == {7}
    assert "traefik.http.routers.registry-mirror-quay.rule=Host(`quay.lan`)" in quay["Tags"]
    assert (metrics["Name"], metrics["Tags"]) == (
        "registry-mirrors-metrics",
        ["traefik.enable=false", "mirror=docker-hub"],
    )


def test_user_and_password_are_read_in_vault(groups):
    path = "secret/data/docker-registry/mirrors/docker-hub"
    grant = MirrorsGrant(login=LOGIN, upstream_paths={"docker-hub": path})
    made = groups({**HUB, "auth": "none"}, {**QUAY, "auth": "none"}, grant=grant)

    config = templates(made["docker-hub"])["secrets/config.yml"]
    for key in ("username", "password"):
        assert f'{key}: {{{{ with secret "{path}" }}}}{{{{ index .Data.data "{key}" | toJSON }}}}' in config
    assert tasks(made["docker-hub"])["registry"]["Vault"]["Policies"] == ["docker-registry-mirrors"]
    assert "Vault" not in tasks(made["quay"])["registry"], "it has nothing to read"


def test_clients_log_in_as_at_the_registry_unless_everybody_may_pull(groups):
    grant = MirrorsGrant(login=LOGIN, upstream_paths={}, users_path=USERS)
    made = groups(HUB, {**QUAY, "auth": "none"}, grant=grant)

    assert config_of(made["docker-hub"])["auth"]["htpasswd"]["path"] == "/secrets/htpasswd"
    assert USERS in templates(made["docker-hub"])["secrets/htpasswd"]
    assert "auth" not in config_of(made["quay"])
    assert list(templates(made["quay"])) == ["secrets/config.yml"]
    assert "Vault" not in tasks(made["quay"])["registry"]


def test_in_auth_mode_vault_a_mirror_takes_the_registrys_tokens(groups):
    grant = MirrorsGrant(login=LOGIN, upstream_paths={}, jwks_path="secret/data/docker-registry/jwks")
    auth = {"mode": "vault", "grants": {"hub": {"repositories": {"library/alpine": ["pull"]}}}}
    made = groups(HUB, grant=grant, auth=auth)["docker-hub"]

    assert config_of(made)["auth"]["token"]["service"] == "registry.homelab.local"
    assert "secrets/jwks.json" in templates(made)


def test_in_tls_mode_registry_its_certificate_has_both_names(groups):
    grant = MirrorsGrant(login=LOGIN, upstream_paths={}, issue_path="pki/issue/registry")
    made = groups({**HUB, "auth": "none"}, grant=grant, tls={"mode": "registry"})["docker-hub"]

    assert templates(made)["secrets/tls.pem"].startswith(
        '{{ with pkiCert "pki/issue/registry" "common_name=registry.homelab.local" '
        '"alt_names=docker-hub.registry.homelab.local" "ttl=720h" }}'
    )
    assert config_of(made)["http"]["tls"]["minimumtls"] == "tls1.2"
    rule = "traefik.tcp.routers.registry-mirror-docker-hub.rule=HostSNI(`docker-hub.registry.homelab.local`)"
    assert rule in made["Services"][0]["Tags"]
    assert made["Services"][0]["Checks"][0]["Protocol"] == "https"


def test_with_workload_it_logs_in_by_its_role(groups):
    login = VaultLogin(policy="docker-registry-mirrors", role="docker-registry-mirrors")
    grant = MirrorsGrant(login=login, upstream_paths={}, users_path=USERS)
    task = tasks(groups(HUB, grant=grant)["docker-hub"])["registry"]

    assert task["Vault"]["Role"] == "docker-registry-mirrors"
    assert task["Identities"][0]["Audience"] == ["vault.io"]


# The size of a cache


def test_a_mirror_with_a_greatest_size_makes_room_before_it_starts(groups):
    made = groups({**HUB, "maxSize": "1GiB"}, QUAY)
    evict = tasks(made["docker-hub"])["evict"]

    assert evict["Lifecycle"] == {"Hook": "prestart"}
    assert (evict["Env"]["STORE"], evict["Env"]["LIMIT"]) == (
        "/var/lib/registry-cache/docker-hub",
        str(2**30),
    )
    assert evict["VolumeMounts"][0]["ReadOnly"] is False
    assert evict["Config"]["network_mode"] == "none"


def test_one_without_a_greatest_size_is_mended_before_it_starts(groups):
    evict = tasks(groups(QUAY)["quay"])["evict"]

    assert evict["Lifecycle"] == {"Hook": "prestart"}
    assert evict["Env"]["STORE"] == "/var/lib/registry-cache/quay" and "LIMIT" not in evict["Env"]
    assert evict["VolumeMounts"][0]["ReadOnly"] is False


def test_the_job_that_measures_knows_the_limits_and_cannot_write(read_settings):
    settings = read_settings(
        mirrors=[{**HUB, "maxSize": "1GiB"}, QUAY],
        maintenance={"mirrors": {"schedule": "5 * * * *"}, "timeZone": "Europe/Berlin"},
    )
    job = json.loads(render(mirrors_evict_job(settings, volume_source="registry_cache")))
    (task,) = job["TaskGroups"][0]["Tasks"]

    assert job["ID"] == "docker-registry-mirrors-evict"
    assert (job["Periodic"]["Spec"], job["Periodic"]["TimeZone"]) == ("5 * * * *", "Europe/Berlin")
    assert json.loads(task["Env"]["MIRRORS"]) == {
        "docker-hub": {"limit": 2**30, "upstream": "https://registry-1.docker.io"}
    }
    assert task["Env"]["MIRRORS_JOB"] == "docker-registry-mirrors"
    assert task["VolumeMounts"][0]["ReadOnly"] is True
    assert task["Identity"] == {"File": True}, "it asks Nomad"
