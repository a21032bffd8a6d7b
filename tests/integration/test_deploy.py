"""One registry through its life: each test leaves the stack as it found it."""

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import tarfile

import httpx
import pytest
from waiting import until

from devcluster.stack import DEMO_USER


@pytest.fixture
def registry(deployment):
    """The deployed registry, reachable; settings that a test changes are put back and deployed."""
    deployment.wait_until_served()
    before = deployment.settings_text()
    yield deployment
    if deployment.settings_text() != before:
        deployment.restore(before)
        deployment.up()
        deployment.wait_until_served()


@pytest.fixture(scope="module")
def image(deployment, tmp_path_factory):
    """An image of 90 MB that does not compress, in the cluster's engine."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "blob").write_bytes(os.urandom(90_000_000))
    with tarfile.open(folder / "image.tar", "w") as archive:
        archive.add(folder / "blob", "blob")
    deployment.docker("import", str(folder / "image.tar"), "big:1")
    return "big:1"


def manifest_digest(registry, reference):
    return registry.crane("digest", reference).strip().splitlines()[-1]


def push_pull_list_delete(registry, address, image, name):
    """What every client does with a registry; proves that the image comes back whole."""
    reference = f"{address}/{name}:1"
    registry.login(address)
    registry.docker("tag", image, reference)
    registry.docker("push", "--quiet", reference)
    before = registry.docker("image", "inspect", "--format", "{{.Id}}", reference)
    registry.docker("rmi", reference)
    registry.docker("pull", "--quiet", reference)
    assert registry.docker("image", "inspect", "--format", "{{.Id}}", reference) == before
    registry.crane("copy", reference, f"{address}/{name}:2")
    assert {"1", "2"} <= set(registry.crane("ls", f"{address}/{name}").split())
    assert name in registry.crane("catalog", address).split()
    digest = manifest_digest(registry, f"{address}/{name}:2")
    registry.crane("delete", f"{address}/{name}@{digest}")
    assert "MANIFEST_UNKNOWN" in registry.crane("manifest", f"{address}/{name}@{digest}", check=False)
    registry.docker("rmi", reference)


def refused(registry, address, base_url):
    """Neither push nor pull without a login, and none with a wrong password."""
    registry.docker("logout", address)
    registry.docker("tag", "registry:3", f"{address}/denied:1")
    registry.docker("push", f"{address}/denied:1", check=False)
    registry.docker("pull", f"{address}/denied:1", check=False)
    registry.login(address, password="wrong password", check=False)
    trust = ssl.create_default_context(cafile=registry.cluster.ca_file)
    # docker tries plain HTTP after TLS and tells only of that, so the registry is asked for its own answer.
    with httpx.Client(base_url=base_url, verify=trust) as client:
        for credentials in (None, (DEMO_USER, "wrong password")):
            assert client.get("/v2/denied/manifests/1", auth=credentials).status_code == 401
            assert client.post("/v2/denied/blobs/uploads/", auth=credentials).status_code == 401


def test_a_preview_after_up_and_after_refresh_shows_nothing(registry):
    registry.preview()
    assert registry.changes() == {}
    registry.run("pulumi", "refresh", "--yes", "--skip-preview", "--stack", "dev")
    registry.run("pulumi", "preview", "--stack", "dev", "--expect-no-changes")


def test_the_registrys_own_port_serves_docker_and_crane(registry, image):
    refused(registry, registry.address, f"http://{registry.address}")
    push_pull_list_delete(registry, registry.address, image, "port/big")


def test_traefiks_tls_entry_point_serves_docker_and_crane(registry, image):
    refused(registry, registry.tls_address, f"https://{registry.tls_address}")
    push_pull_list_delete(registry, registry.tls_address, image, "traefik/big")


def test_following_next_steps_line_by_line_pushes_and_pulls_an_image(registry):
    steps = registry.run("pulumi", "stack", "output", "nextSteps", "--stack", "dev")
    commands = [line.strip() for line in steps.splitlines() if line.startswith("     ")]
    assert len(commands) == 6
    try:
        for command in commands:
            # What a person types at the prompt comes by standard input here.
            typed = command.replace("docker login", "docker login --password-stdin")
            registry.run("sh", "-ec", typed, text=registry.password)
        pushed = f"{registry.tls_address}/{DEMO_USER}/hello"
        assert registry.crane("ls", pushed).split() == ["1"]
    finally:
        shutil.rmtree(f"/etc/docker/certs.d/{registry.tls_address}", ignore_errors=True)


def test_2_x_serves_the_same_stack_and_its_data_is_served_by_3_x(registry, image):
    settings = registry.settings_text()
    registry.restore(settings.replace("registry:3", "registry:2"))
    registry.up()
    registry.wait_until_served()
    # What another file of tests ran may be about to end.
    until(lambda: registry.docker("ps", "--format", "{{.Image}}").split() == ["registry:2"])
    push_pull_list_delete(registry, registry.address, image, "two/big")
    push_pull_list_delete(registry, registry.tls_address, image, "two/tls")
    registry.login(registry.address)
    kept = f"{registry.address}/two/kept:1"
    registry.docker("tag", "registry:3", kept)
    registry.docker("push", "--quiet", kept)
    digest = manifest_digest(registry, kept)

    registry.restore(settings)
    registry.up()
    registry.wait_until_served()

    assert manifest_digest(registry, kept) == digest
    registry.docker("rmi", kept)
    registry.docker("pull", "--quiet", kept)


def test_changing_memory_is_one_update_of_the_job(registry):
    registry.restore(registry.settings_text().replace("memory: 512", "memory: 300"))

    assert registry.changes() == {"registry-job": "update"}


def test_a_changed_password_takes_the_old_ones_place_while_an_upload_goes_on(registry):
    settings, password = registry.settings_text(), "a new password"
    before, restarted = registry.allocation(), restarts(registry)
    blob = os.urandom(1_000_000)
    with httpx.Client(base_url=f"http://{registry.address}", auth=(DEMO_USER, registry.password)) as client:
        upload = client.post("/v2/changed/blobs/uploads/").headers["Location"]
        upload = client.patch(upload, content=blob[:500_000]).headers["Location"]
    registry.run("python", "-m", "ops", "users", "set", DEMO_USER, "--stack", "dev", text=f"{password}\n")

    assert registry.changes() == {"registry-access-users": "update"}
    registry.up()

    assert registry.allocation() == before
    assert registry.changes() == {}
    # consul-template reads a KV secret again within 5 minutes (its default lease).
    until(lambda: status(registry, password) == 200, seconds=360)
    assert status(registry, registry.password) == 401
    assert registry.allocation() == before
    assert restarts(registry) == restarted
    with httpx.Client(base_url=f"http://{registry.address}", auth=(DEMO_USER, password)) as client:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        done = client.put(f"{upload}&digest={digest}", content=blob[500_000:])
        assert done.status_code == 201, done.text
        assert client.head(f"/v2/changed/blobs/{digest}").status_code == 200
    # A new allocation reads the secret at once; the tests that follow use the first password.
    registry.restore(settings)
    registry.up()
    registry.run("nomad", "alloc", "stop", before)
    registry.wait_until_served()
    assert status(registry, registry.password) == 200


def status(registry, password):
    return httpx.get(f"http://{registry.address}/v2/", auth=(DEMO_USER, password), timeout=30).status_code


def restarts(registry):
    url = f"{registry.cluster.nomad_address}/v1/allocation/{registry.allocation()}"
    return httpx.get(url).json()["TaskStates"]["registry"]["Restarts"]


def test_a_nomad_job_runs_an_image_that_it_pulls_from_the_registry(registry):
    registry.login(registry.address)
    reference = f"{registry.address}/apps/hello:1"
    registry.docker("tag", "registry:3", reference)
    registry.docker("push", "--quiet", reference)
    registry.docker("rmi", reference)
    job = registry.stack.project / "hello.nomad"
    job.write_text(f"""
        job "hello" {{
          type = "batch"
          group "hello" {{
            task "hello" {{
              driver = "docker"
              config {{
                image = "{reference}"
                args  = ["help"]
                auth {{
                  username = "{DEMO_USER}"
                  password = "{registry.password}"
                }}
              }}
            }}
          }}
        }}""")
    try:
        registry.run("nomad", "job", "run", "-detach", str(job))
        url = f"{registry.cluster.nomad_address}/v1/job/hello/allocations"
        until(lambda: [each["ClientStatus"] for each in httpx.get(url).json()] == ["complete"])
        assert reference in registry.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    finally:
        registry.run("nomad", "job", "stop", "-purge", "hello")


def once_deployed(registry):
    """What doctor finds of the deployment; the version that was reverted to is deployed for some seconds."""

    def settled():
        found = registry.doctor()["deployment-succeeded"]
        return None if "is being deployed" in found["what"] else found

    return until(settled)


# The registry reads the key when it starts, and dies without it.
WITHOUT_ITS_KEY = {
    "name": "cloudfront",
    "options": {"baseurl": "https://cdn.example.org", "privatekey": "/no.pem", "keypairid": "none"},
}


@pytest.mark.parametrize(
    ("section", "values", "reason"),
    [
        ("registry", {"config": {"middleware": {"storage": [WITHOUT_ITS_KEY]}}}, "exit code"),
        ("registry", {"image": "registry:3.99.99"}, "registry:3.99.99"),
    ],
)
def test_a_deploy_that_dies_gives_way_to_the_old_version_and_says_why(registry, section, values, reason):
    settings, secrets = registry.settings_text(), known_secrets(registry)
    registry.change(section, **values)

    output = registry.up(check=False)

    registry.wait_until_served()
    why = registry.run("python", "-m", "ops", "why", "--stack", "dev", check=False)
    assert reason in why.lower()
    found = once_deployed(registry)
    assert (found["state"], "nomad job revert" in found["fix"]) == ("warning", True)
    assert [name for name, value in secrets.items() if value in output + why] == []
    registry.restore(settings)
    registry.up()
    registry.wait_until_served()
    assert registry.changes() == {}


def test_destroy_leaves_the_images_and_the_next_up_serves_them(registry):
    registry.login(registry.address)
    kept = f"{registry.address}/kept/hello:1"
    registry.docker("tag", "registry:3", kept)
    registry.docker("push", "--quiet", kept)
    digest = manifest_digest(registry, kept)

    registry.destroy()

    nomad, consul = registry.cluster.nomad_address, registry.cluster.consul_address
    assert httpx.get(f"{nomad}/v1/job/docker-registry").status_code == 404
    assert httpx.get(f"{consul}/v1/config/service-defaults/registry").status_code == 404
    assert "No value found" in registry.run("bao", "kv", "get", "secret/docker-registry/http", check=False)
    registry.run("bao", "policy", "read", "docker-registry", check=False)
    registry.up()
    registry.wait_until_served()
    assert manifest_digest(registry, kept) == digest


def test_a_changed_path_is_refused_with_the_way_to_move_the_data(registry):
    before = registry.allocation()
    registry.change("storage", path=str(registry.cluster.root / "volumes" / "elsewhere"))

    output = registry.preview(check=False)

    assert str(registry.cluster.instance.registry_volume) in output
    assert "cp -a" in output or "rsync" in output
    assert registry.allocation() == before


def test_without_a_client_that_offers_the_volume_up_stops_with_the_stanza(registry):
    before = registry.allocation()
    registry.change("storage", volume="another_volume")

    output = registry.up(check=False)

    assert 'host_volume "another_volume"' in output
    assert (registry.cluster.root / "volumes" / "high_capacity" / "another_volume").is_dir()
    assert registry.allocation() == before


def test_a_job_that_fits_no_node_is_refused_before_the_old_version_stops(registry):
    before = registry.allocation()
    registry.change("registry", memory=100_000_000)

    output = registry.up(check=False)

    assert "exhausted: memory" in output
    assert registry.allocation() == before


def test_every_wrong_setting_is_reported_at_once_and_nothing_is_touched(registry):
    before = registry.allocation()
    registry.change("registry", prot=1, hostname="no_host", port=70000, config={"reporting": {}})
    registry.change("auth", mode="htpaswd")
    registry.change("storage", root="relative/path")

    output = registry.up(check=False)

    for expected in (
        "Pulumi.dev.yaml: docker-registry:registry.prot: unknown key",
        "docker-registry:registry.hostname: 'no_host'",
        "docker-registry:registry.port: 70000",
        "docker-registry:registry.config.reporting",
        "docker-registry:auth.mode: 'htpaswd' is not one of htpasswd",
        "docker-registry:storage.root: 'relative/path'",
    ):
        assert expected in output
    assert "Traceback" not in output
    assert registry.allocation() == before


@pytest.mark.parametrize("server", ["nomad", "consul", "vault"])
def test_a_server_that_does_not_answer_is_named_with_its_address_and_setting(registry, server):
    address = getattr(registry.cluster, f"{server}_address").removeprefix("http://")
    settings = registry.settings_text()
    registry.restore(settings.replace(address, "127.0.0.1:9"))
    try:
        output = registry.preview(check=False)
    finally:
        registry.restore(settings)

    assert "127.0.0.1:9" in output
    assert f"{server}:address" in output


def test_a_vault_token_without_rights_is_told_what_is_missing(registry):
    token = registry.run("bao", "token", "create", "-policy=default", "-field=token").strip()
    settings = registry.settings_text()
    registry.restore(re.sub(r"(?m)^  vault:token:\n    secure: .*\n", f"  vault:token: {token}\n", settings))
    try:
        output = registry.preview(check=False)
    finally:
        registry.restore(settings)

    assert "sys/policies/acl/docker-registry" in output
    assert token not in output


def test_status_tells_how_the_registry_is(registry):
    status = registry.run("python", "-m", "ops", "status", "--stack", "dev")

    assert registry.allocation()[:8] in status


def known_secrets(registry):
    secret = registry.run("bao", "kv", "get", "-field=secret", "secret/docker-registry/http").strip()
    users = registry.run("bao", "kv", "get", "-field=htpasswd", "secret/docker-registry/users")
    hashed = re.search(r"^demo:(.+)$", users, re.MULTILINE)[1]
    return {"http.secret": secret, "hash": hashed, "password": registry.password}


def test_no_secret_is_found_in_clear_anywhere(registry):
    secrets, root = known_secrets(registry), registry.cluster.root
    places = {
        "preview": registry.run("pulumi", "preview", "--diff", "--stack", "dev"),
        "state": registry.run("pulumi", "stack", "export", "--stack", "dev"),
        "outputs": registry.run("pulumi", "stack", "output", "--json", "--stack", "dev"),
        "job": httpx.get(f"{registry.cluster.nomad_address}/v1/job/docker-registry").text,
        "ps": subprocess.run(["ps", "auxeww"], capture_output=True, text=True, check=True).stdout,
        "docker": registry.containers(),
        "consul": httpx.get(f"{registry.cluster.consul_address}/v1/catalog/service/registry").text,
        "stack file": registry.settings_text(),
    }
    places |= {str(path): path.read_text(errors="replace") for path in (root / "logs").rglob("*.log")}
    for place, text in places.items():
        for name, value in secrets.items():
            assert value not in text, f"{name} is in clear in {place}"


def test_after_every_server_was_restarted_or_killed_images_and_state_are_as_they_were(registry):
    registry.login(registry.address)
    kept = f"{registry.address}/survives/hello:1"
    registry.docker("tag", "registry:3", kept)
    registry.docker("push", "--quiet", kept)
    digest = manifest_digest(registry, kept)
    cluster = registry.cluster.cluster

    cluster.down()
    cluster.up()
    registry.wait_until_served()
    assert manifest_digest(registry, kept) == digest
    assert registry.changes() == {}

    registry.cluster.kill(*(status.name for status in cluster.status()))
    cluster.up()
    registry.wait_until_served()
    assert manifest_digest(registry, kept) == digest
    assert registry.changes() == {}
