import json

import pytest
import yaml

from jobs.nomad import render
from jobs.registry import VaultGrant, registry_job

PATHS = {key: f"secret/data/docker-registry/{key}" for key in ("http", "users")}
POLICIES = VaultGrant(policy="docker-registry", role=None, paths=PATHS)
WORKLOAD = VaultGrant(policy="docker-registry", role="docker-registry", paths=PATHS)


GRANTS = {"ci-app": {"repositories": {"ci/app": ["pull", "push"]}}}
EXTERNAL = {"realm": "https://auth.lan/token", "service": "images", "issuer": "auth.lan"}


@pytest.fixture
def job(read_settings):
    """Render the job of a stack given by its sections, as Nomad gets it."""

    def make(grant=POLICIES, jwks_path=None, host_network=None, **sections):
        settings = read_settings(**sections)
        rendered = registry_job(
            settings,
            volume_source=settings.volume if settings.on_volume else None,
            service=settings.registry.service,
            grant=grant,
            jwks_path=jwks_path,
            host_network=host_network,
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
    assert metrics["Tags"] == ["traefik.enable=false"], "by default Traefik routes what has no tags"
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


def templates(job):
    return {each["DestPath"]: each for each in task(job)["Templates"]}


def config_of(job):
    return yaml.safe_load(
        templates(job)["secrets/config.yml"]["EmbeddedTmpl"].replace("{{", "'").replace("}}", "'")
    )


def without_users(**changes):
    return VaultGrant(policy="docker-registry", role=None, paths={"http": PATHS["http"]}, **changes)


# TLS


def test_in_tls_mode_registry_certificate_and_key_come_from_vault_into_the_secrets_folder(job):
    grant = without_users(issue_path="docker-registry-pki/issue/docker-registry")
    made = job(grant=grant, tls={"mode": "registry"})

    certificate = templates(made)["secrets/tls.pem"]
    assert certificate["EmbeddedTmpl"].startswith(
        '{{ with pkiCert "docker-registry-pki/issue/docker-registry" '
        '"common_name=registry.homelab.local" "ttl=720h" }}'
    )
    assert certificate["ChangeMode"] == "restart"
    assert certificate["Perms"] == "0400"
    config = templates(made)["secrets/config.yml"]["EmbeddedTmpl"]
    assert "minimumtls: tls1.2" in config
    assert "certificate: /secrets/tls.pem" in config


def test_in_tls_mode_registry_traefik_passes_tls_through_and_consul_checks_by_https(job):
    grant = without_users(issue_path="docker-registry-pki/issue/docker-registry")
    registry, metrics = group(job(grant=grant, tls={"mode": "registry"}))["Services"]

    assert registry["Tags"][:4] == [
        "traefik.enable=true",
        "traefik.tcp.routers.registry.rule=HostSNI(`registry.homelab.local`)",
        "traefik.tcp.routers.registry.entrypoints=websecure",
        "traefik.tcp.routers.registry.tls.passthrough=true",
    ]
    [check] = registry["Checks"]
    assert check["Protocol"] == "https" and check["TLSSkipVerify"] is True
    assert "Protocol" not in metrics["Checks"][0]


def test_the_stack_chooses_a_higher_tls_version(job):
    grant = without_users(issue_path="pki/issue/web")
    chosen = {"config": {"http": {"tls": {"minimumtls": "tls1.3"}}}}
    made = job(grant=grant, tls={"mode": "registry"}, registry=chosen)

    assert "minimumtls: tls1.3" in templates(made)["secrets/config.yml"]["EmbeddedTmpl"]


def test_in_tls_mode_plain_traefik_routes_nothing(job):
    tags = group(job(tls={"mode": "plain", "allowPlain": True}))["Services"][0]["Tags"]

    assert [tag for tag in tags if tag.startswith("traefik.")] == ["traefik.enable=false"]


# Access


def test_traefik_lets_through_the_allowed_networks_only(job):
    tags = group(job(access={"allowedCidrs": ["192.168.1.0/24", "10.0.0.0/8"]}))["Services"][0]["Tags"]

    assert "traefik.http.middlewares.registry.ipallowlist.sourcerange=192.168.1.0/24,10.0.0.0/8" in tags
    assert "traefik.http.routers.registry.middlewares=registry,registry-retry" in tags


def test_with_tls_passed_through_the_networks_are_limited_by_connection(job):
    grant = without_users(issue_path="pki/issue/web")
    access = {"allowedCidrs": ["192.168.1.0/24"]}
    tags = group(job(grant=grant, tls={"mode": "registry"}, access=access))["Services"][0]["Tags"]

    assert "traefik.tcp.middlewares.registry.ipallowlist.sourcerange=192.168.1.0/24" in tags
    assert "traefik.tcp.routers.registry.middlewares=registry" in tags


def test_both_ports_listen_on_the_chosen_host_network(job):
    ports = group(job(host_network="lan"))["Networks"][0]["ReservedPorts"]

    assert [port["HostNetwork"] for port in ports] == ["lan", "lan"]


# Authentication


def test_in_auth_mode_vault_the_registry_takes_vaults_tokens_for_itself_only(job):
    made = job(
        grant=without_users(),
        jwks_path="secret/data/docker-registry/jwks",
        auth={"mode": "vault", "grants": GRANTS},
    )

    keys = templates(made)["secrets/jwks.json"]
    assert keys["EmbeddedTmpl"] == (
        '{{ with secret "secret/data/docker-registry/jwks" }}{{ .Data.data.jwks }}{{ end }}'
    )
    assert keys["ChangeMode"] == "restart", "the registry reads its keys only when it starts"
    assert "secrets/htpasswd" not in templates(made)
    assert config_of(made)["auth"] == {
        "token": {
            "realm": "https://registry.homelab.local/v2/_catalog",
            "service": "registry.homelab.local",
            "issuer": "http://127.0.0.1:8200/v1/identity/oidc",
            "jwks": "/secrets/jwks.json",
            "signingalgorithms": ["ES256"],
        }
    }


def test_a_token_server_is_trusted_by_its_key_set_and_by_no_shared_secret(job):
    keys = json.dumps({"keys": [{"kid": "{{ key }}"}]})
    made = job(grant=without_users(), auth={"mode": "external", "external": {**EXTERNAL, "jwks": keys}})

    token = config_of(made)["auth"]["token"]
    assert token["jwks"] == "/secrets/jwks.json"
    assert not [name for name in token["signingalgorithms"] if name.startswith("HS")]
    assert '{{"{{"}} key }}' in templates(made)["secrets/jwks.json"]["EmbeddedTmpl"]


def test_a_token_server_is_trusted_by_certificates_on_2_x(job):
    bundle = "-----BEGIN CERTIFICATE-----\n"
    made = job(
        grant=without_users(),
        registry={"image": "registry:2"},
        auth={"mode": "external", "external": {**EXTERNAL, "rootCertBundle": bundle}},
    )

    assert config_of(made)["auth"]["token"] == {**EXTERNAL, "rootcertbundle": "/secrets/keys.pem"}
    assert templates(made)["secrets/keys.pem"]["EmbeddedTmpl"] == bundle


def test_without_authentication_config_yml_has_none(job):
    made = job(grant=without_users(), auth={"mode": "none", "allowAnonymous": True})

    assert "auth" not in config_of(made)
    assert list(templates(made)) == ["secrets/config.yml"]


# The freeze


def test_the_variable_of_the_jobs_own_name_makes_it_read_only(job):
    template = templates(job(registry={"name": "staging"}))["secrets/config.yml"]

    assert 'nomadVar "nomad/jobs/staging"' in template["EmbeddedTmpl"]
    assert template["Splay"] == 0  # a maintenance job waits for the restart


BUCKET = {
    "driver": "s3",
    "s3": {"bucket": "images", "region": "any", "accessKey": "AKIA", "secretKey": "hunter2"},
}
MANY = {"count": 3, "redis": {"address": "redis.lan:6379", "password": "hunter2"}, "shutdownDelay": "7s"}
CONFIG_GRANT = VaultGrant(
    policy="docker-registry", role=None, paths={**PATHS, "config": "secret/data/docker-registry/config"}
)


def test_a_bucket_needs_no_volume_and_its_keys_are_read_from_vault(job):
    made = job(CONFIG_GRANT, storage=BUCKET)

    assert "Volumes" not in group(made)
    assert task(made)["VolumeMounts"] == []
    assert "hunter2" not in json.dumps(made) and "AKIA" not in json.dumps(made)
    assert '"storage.s3.secretkey"' in task(made)["Templates"][0]["EmbeddedTmpl"]


def test_several_instances_get_ports_from_nomad_and_are_kept_apart(job):
    made = job(CONFIG_GRANT, storage=BUCKET, registry=MANY)

    assert group(made)["Count"] == 3
    [network] = group(made)["Networks"]
    assert "ReservedPorts" not in network
    assert network["DynamicPorts"] == [{"Label": "registry", "To": 5000}, {"Label": "metrics", "To": 5001}]
    assert group(made)["Spreads"] == [{"Attribute": "${node.unique.id}", "Weight": 100}]


def test_an_instance_that_is_to_end_serves_until_traefik_leaves_it_out(job):
    made = job(CONFIG_GRANT, storage=BUCKET, registry=MANY)

    assert group(made)["ShutdownDelay"] == 7 * 10**9
    assert (group(made)["Update"]["MaxParallel"], group(made)["Update"]["Canary"]) == (1, 0)


def test_traefik_asks_another_instance_where_one_takes_no_connection(job):
    access = {"allowedCidrs": ["10.0.0.0/8"]}
    tags = group(job(CONFIG_GRANT, storage=BUCKET, registry=MANY, access=access))["Services"][0]["Tags"]

    assert any(tag.startswith("traefik.http.middlewares.registry-retry.retry.attempts=") for tag in tags)
    assert "traefik.http.routers.registry.middlewares=registry,registry-retry" in tags


def test_one_instance_has_nothing_of_that(job):
    made = group(job())

    assert {"ShutdownDelay", "Spreads", "Scaling"}.isdisjoint(made)
    assert list(made["Networks"][0]) == ["ReservedPorts"]


# A restart in place, as at every freeze


@pytest.mark.parametrize(("drain", "away"), [(None, 35), ("5s", 20), ("2m", 135), ("0", 15)])
def test_as_long_as_a_restart_in_place_takes_it_stays_in_consul_and_traefik_waits_for_it(job, drain, away):
    config = {"http": {"draintimeout": drain}} if drain else {}
    made = group(job(registry={"config": config}))
    tags = made["Services"][0]["Tags"]
    [attempts, interval] = [tag.rpartition("=")[2] for tag in tags if ".registry-retry.retry." in tag]

    assert made["Tasks"][0]["KillTimeout"] < away * 10**9
    for service in made["Services"]:
        [check] = service["Checks"]
        assert check["FailuresBeforeCritical"] * check["Interval"] >= away * 10**9
    assert interval == "200ms"
    # Each interval is longer than the one before, up to the double (Traefik: middlewares/retry, newBackOff).
    waits = [0.2 * 2 ** (number / (int(attempts) - 1)) for number in range(int(attempts) - 1)]
    assert away <= sum(waits) < away * 1.1


def test_a_connection_that_passes_through_traefik_cannot_be_tried_again(job):
    grant = without_users(issue_path="pki/issue/web")
    made = group(job(grant=grant, tls={"mode": "registry"}))

    assert not any("retry" in tag for tag in made["Services"][0]["Tags"])


def test_an_autoscaler_gets_its_bounds(job):
    made = job(CONFIG_GRANT, storage=BUCKET, registry={**MANY, "scaling": {"min": 2, "max": 5}})

    assert group(made)["Count"] == 3
    assert (group(made)["Scaling"]["Min"], group(made)["Scaling"]["Max"]) == (2, 5)


def test_one_of_several_instances_counts_as_down_at_its_first_failed_check(job):
    made = job(CONFIG_GRANT, storage=BUCKET, registry=MANY)

    (service, _) = made["TaskGroups"][0]["Services"]
    assert [check["FailuresBeforeCritical"] for check in service["Checks"]] == [1]
