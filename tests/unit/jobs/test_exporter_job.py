import json

import pytest

from jobs.exporter import exporter_job
from jobs.nomad import render

IN_S3 = {"driver": "s3", "s3": {"region": "eu", "bucket": "images"}}
DAY = 86_400


@pytest.fixture
def group(read_settings):
    def make(host_network=None, **sections):
        settings = read_settings(**{"monitoring": {}, **sections})
        made = exporter_job(
            settings,
            volume_source="images" if settings.on_volume else None,
            cache_source="caches" if settings.mirrors.root else None,
            consul_ca=None,
            host_network=host_network,
        )
        (group,) = json.loads(render(made))["TaskGroups"]
        return group

    return make


def task(group):
    (made,) = group["Tasks"]
    return made


def test_it_is_a_job_of_its_own_beside_the_registrys(read_settings):
    settings = read_settings(monitoring={}, registry={"namespace": "lab", "datacenters": ["nas"]})

    made = json.loads(
        render(
            exporter_job(
                settings, volume_source="images", cache_source=None, consul_ca=None, host_network=None
            )
        )
    )

    assert made["ID"] == made["Name"] == "docker-registry-exporter"
    assert (made["Type"], made["Namespace"], made["Datacenters"]) == ("service", "lab", ["nas"])


def test_it_listens_where_the_registry_does_and_traefik_never_routes_it(group):
    made = group(host_network="lan", monitoring={"port": 9000})

    (port,) = made["Networks"][0]["ReservedPorts"]
    assert port == {"Label": "metrics", "Value": 9000, "To": 9000, "HostNetwork": "lan"}
    (service,) = made["Services"]
    assert (service["Name"], service["PortLabel"]) == ("registry-exporter", "metrics")
    assert service["Tags"] == ["traefik.enable=false"]


def test_it_sees_the_volumes_and_cannot_write_to_them(group):
    made = group(maintenance={"backup": {}})

    assert {name: each["Source"] for name, each in made["Volumes"].items()} == {
        "registry_data": "images",
        "registry_backup": "registry_backup",
    }
    assert all(mount["ReadOnly"] for mount in task(made)["VolumeMounts"])
    assert json.loads(task(made)["Env"]["VOLUMES"]) == {
        "registry_data": "/volumes/registry_data",
        "registry_backup": "/volumes/registry_backup",
    }


def test_room_for_what_mirrors_cache_is_measured_too(group):
    made = group(mirrors=[{"name": "hub", "upstream": "https://registry-1.docker.io", "port": 5010}])

    assert made["Volumes"]["registry_cache"]["Source"] == "caches"
    assert json.loads(task(made)["Env"]["VOLUMES"])["registry_cache"] == "/volumes/registry_cache"


def test_backups_in_a_bucket_need_no_volume(group):
    keys = {"accessKey": "a" * 16, "secretKey": "s" * 16}
    bucket = {"endpoint": "https://s3.homelab.local:8333", "bucket": "backups", **keys}
    made = group(maintenance={"backup": {"s3": bucket}})

    assert made["Volumes"].keys() == {"registry_data"}


def test_images_in_a_bucket_need_no_volume(group):
    made = group(storage=IN_S3)

    assert "Volumes" not in made
    assert task(made)["Env"]["VOLUMES"] == "{}"


def test_it_runs_as_the_owner_of_the_images_without_rights_and_has_a_token_for_nomad_alone(group):
    made = task(group(storage={"owner": {"uid": 1026, "gid": 100}}))

    assert made["User"] == "1026:100"
    assert made["Config"]["cap_drop"] == ["all"]
    assert made["Config"]["readonly_rootfs"] is True
    assert made["Identity"] == {"File": True}
    assert "Vault" not in made


@pytest.mark.parametrize(
    ("tls", "addresses"),
    [
        ({}, "registry.homelab.local:443"),
        ({"port": 8443}, "registry.homelab.local:8443"),
        ({"mode": "registry"}, "registry.homelab.local:5000 registry.homelab.local:443"),
        ({"mode": "plain", "allowPlain": True}, ""),
    ],
)
def test_it_asks_for_each_certificate_that_clients_are_shown(group, tls, addresses):
    assert task(group(tls=tls))["Env"]["CERTIFICATES"] == addresses


def test_it_knows_each_kind_of_maintenance_and_how_long_it_may_take_to_go_well_again(group):
    runs = json.loads(
        task(group(maintenance={"garbageCollection": {}, "backup": {}, "scan": {"schedule": "0 0 * * 1"}}))[
            "Env"
        ]["RUNS"]
    )

    assert runs == {
        "gc": {"job": "docker-registry-gc", "seconds": 8 * DAY},
        "backup": {"job": "docker-registry-backup", "seconds": 2 * DAY},
        "drill": {"job": "docker-registry-drill", "seconds": 63 * DAY, "service": "registry-drill"},
        "scan": {"job": "docker-registry-scan", "seconds": 8 * DAY, "service": "registry-scan"},
    }
    assert json.loads(task(group())["Env"]["RUNS"]) == {}
