import json

import pytest

from jobs.nomad import render
from jobs.registry import VaultGrant, registry_job

POLICIES = VaultGrant(
    policy="docker-registry",
    role=None,
    http_path="secret/data/docker-registry/http",
    users_path="secret/data/docker-registry/users",
    config_path=None,
)
WORKLOAD = VaultGrant(
    policy="docker-registry",
    role="docker-registry",
    http_path=POLICIES.http_path,
    users_path=POLICIES.users_path,
    config_path=None,
)


@pytest.fixture
def job(read_settings):
    """Render the job of a stack given by its sections, as Nomad gets it."""

    def make(grant=POLICIES, **sections):
        settings = read_settings(**sections)
        rendered = registry_job(
            settings, volume_source=settings.volume, service=settings.registry.service, grant=grant
        )
        return json.loads(render(rendered))

    return make


def group(job):
    return job["TaskGroups"][0]


def task(job):
    return group(job)["Tasks"][0]


def test_the_fixed_names_are_the_defaults(job):
    made = job()

    assert made["ID"] == made["Name"] == "docker-registry"
    assert group(made)["Name"] == task(made)["Name"] == "registry"
    assert [service["Name"] for service in group(made)["Services"]] == ["registry", "registry-metrics"]
    assert group(made)["Volumes"]["registry_data"]["Source"] == "registry_data"
    assert task(made)["VolumeMounts"] == [
        {"Volume": "registry_data", "Destination": "/var/lib/registry", "ReadOnly": False}
    ]


def test_another_name_gives_every_shared_name_its_own(job):
    made = job(registry={"name": "staging-registry"})

    assert made["ID"] == "staging-registry"
    assert [service["Name"] for service in group(made)["Services"]] == [
        "staging-registry",
        "staging-registry-metrics",
    ]
    assert "traefik.http.routers.staging-registry.tls=true" in group(made)["Services"][0]["Tags"]
    assert list(group(made)["Volumes"]) == ["staging_registry_data"]


def test_traefik_routes_the_host_name_and_never_the_debug_port(job):
    registry, metrics = group(job(tls={"certResolver": "le"}))["Services"]

    assert registry["Tags"][:5] == [
        "traefik.enable=true",
        "traefik.http.routers.registry.rule=Host(`registry.homelab.local`)",
        "traefik.http.routers.registry.entrypoints=websecure",
        "traefik.http.routers.registry.tls=true",
        "traefik.http.routers.registry.tls.certresolver=le",
    ]
    assert metrics["Tags"] == []
    assert metrics["PortLabel"] == "metrics"


def test_homepage_finds_the_registry_by_tags_and_by_labels(job):
    made = job()

    labels = task(made)["Config"]["labels"][0]
    assert labels["homepage.name"] == "Docker Registry"
    assert labels["homepage.href"] == "https://registry.homelab.local"
    for key, value in labels.items():
        assert f"{key}={value}" in group(made)["Services"][0]["Tags"]


def test_homepage_can_be_left_out(job):
    made = job(registry={"homepage": {"enabled": False}})

    assert task(made)["Config"]["labels"] == []
    assert not [tag for tag in group(made)["Services"][0]["Tags"] if "homepage" in tag]


def test_the_check_asks_the_open_root_and_not_v2_which_answers_401(job):
    assert group(job())["Services"][0]["Checks"][0]["Path"] == "/"


def test_the_container_is_hardened_and_runs_as_the_owner_of_the_volume(job):
    made = task(job(storage={"owner": {"uid": 568, "gid": 569}}))

    assert made["User"] == "568:569"
    assert made["Config"]["cap_drop"] == ["all"]
    assert made["Config"]["security_opt"] == ["no-new-privileges"]
    assert made["Config"]["readonly_rootfs"] is True
    assert made["Config"]["pids_limit"] > 0
    assert all((file["Uid"], file["Gid"], file["Perms"]) == (568, 569, "0400") for file in made["Templates"])


def test_dsm_has_no_cfs_quota_so_cpu_is_never_a_hard_limit(job):
    assert "cpu_hard_limit" not in json.dumps(job())


def test_host_ports_are_settings_and_container_ports_are_fixed(job):
    made = job(registry={"port": 15000, "debugPort": 15001})

    assert group(made)["Networks"][0]["ReservedPorts"] == [
        {"Label": "registry", "Value": 15000, "To": 5000},
        {"Label": "metrics", "Value": 15001, "To": 5001},
    ]


def test_one_writer_at_a_time_and_a_bad_version_gives_way(job):
    update = group(job())["Update"]

    assert group(job())["Count"] == 1
    assert (update["MaxParallel"], update["Canary"], update["AutoRevert"]) == (1, 0, True)
    assert update["ProgressDeadline"] == 0, "else Nomad tries the bad version again until the deadline"


def test_nomad_waits_longer_than_the_registry_drains(job):
    made = job(registry={"config": {"http": {"draintimeout": "1m"}}})

    assert task(made)["KillTimeout"] == 70 * 10**9
    assert task(made)["KillSignal"] == "SIGTERM"


def test_with_policies_the_task_names_the_policy_and_never_sees_the_token(job):
    vault = task(job())["Vault"]

    assert vault == {
        "Policies": ["docker-registry"],
        "Env": False,
        "DisableFile": True,
        "ChangeMode": "noop",
    }


def test_with_workload_the_task_names_the_role_and_the_audience(job):
    made = task(job(WORKLOAD, vault={"workload": {"audience": "vault.home"}}))

    assert made["Vault"]["Role"] == "docker-registry"
    assert "Policies" not in made["Vault"]
    assert made["Identities"][0]["Name"] == "vault_default"
    assert made["Identities"][0]["Audience"] == ["vault.home"]


def test_a_user_or_a_hash_changes_nothing_in_the_job(job, bcrypt_hash):
    assert job() == job(auth={"mode": "htpasswd", "users": {"alice": bcrypt_hash}})


def test_a_dynamic_volume_asks_for_the_capability_that_it_declares(job):
    node = "5f6f1d4e-3c0f-4a69-9d3b-1f2e3d4c5b6a"
    volume = group(job(storage={"kind": "dynamic", "nodeId": node}))["Volumes"]["registry_data"]

    assert (volume["AccessMode"], volume["AttachmentMode"]) == ("single-node-writer", "file-system")


@pytest.mark.parametrize("image", ["registry:2", "registry:3"])
def test_both_versions_are_served_by_a_full_command_line(job, image):
    made = task(job(registry={"image": image}))

    assert made["Config"]["args"] == ["serve", "/secrets/config.yml"]
    assert made["Config"]["image"] == image
