"""Each failure that doctor knows is caused, named with what mends it, and mended by that as it is printed.

Those in ELSEWHERE are not: for each it says why, or which test causes it. All have unit tests.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import yaml
from image_store import MIB, Store
from second_traefik import SecondTraefik
from waiting import until

from checks.doctor.examination import CHECKS
from checks.doctor.finding import id_of
from devcluster import hosts
from devcluster.instance import HOSTNAME
from devcluster.servers import is_free
from devcluster.stack import DEMO_USER, STACK
from devcluster.traefik import certificates

ELSEWHERE = {
    "deployment-succeeded": "test_deploy.py: a version that dies",
    "certificate-of-authority": "test_tls.py: a new authority",
    "vault-role-fits": "the cluster's Nomad has no workload identity; test_vault_identity.py has such roles",
    "keys-current": "test_token_keys.py: a key that was rotated by hand",
    "jobs-live": "test_dead_jobs.py: jobs that failed when they were deployed, and that were stopped",
    "reports-good": "test_backup.py: a drill that fails",
    "redis-answers": "test_s3.py: another address, another password",
    "mirrors-serve": "test_mirrors.py: a job that was stopped",
    "upstreams-answer": "test_mirrors.py: an upstream that is away, another password",
    "caches-within-size": "test_mirrors.py: an upstream that is away while a cache is too big",
    "exporter-answers": "test_monitoring.py: a job that was stopped",
    "traefik-version": "Traefik is pinned: an older one is not installed",
    "clocks-agree": "a machine has one clock, which other programs need",
    "docker-storage": "the storage driver is chosen when the engine is installed",
    "cpu-limits": "this kernel has CFS quotas",
}
named = set()  # checks that named a failure which a test caused


@pytest.fixture(scope="module")
def registry(deployment):
    """A registry that lets everybody in and sends pushes elsewhere, with settings that say otherwise."""
    before = deployment.settings_text()
    health = {"storagedriver": {"enabled": True, "interval": "1s", "threshold": 1}}  # to notice at once
    deployment.change("maintenance", garbageCollection={"schedule": "17 4 1 1 *"})  # not beside the tests
    deployment.change("registry", config={"health": health})
    well = deployment.settings_text()
    elsewhere = {"relativeurls": False, "host": "http://registry.internal:5000"}
    deployment.change("registry", config={"health": health, "http": elsewhere})
    deployment.change("auth", mode="none", users=None, allowAnonymous=True)
    deployment.up()
    deployment.wait_until_served(expected=200)
    deployment.restore(well)
    for address in (deployment.address, deployment.tls_address):
        deployment.login(address)
    yield deployment
    # What a test that failed did not heal would keep every other from its registry.
    for node in httpx.get(f"{deployment.cluster.nomad_address}/v1/nodes").json():
        deployment.run("nomad", "node", "eligibility", "-enable", node["ID"])
    owner = deployment.section("storage")["owner"]
    os.chown(deployment.cluster.instance.registry_volume, owner["uid"], owner["gid"])
    deployment.cluster.instance.registry_volume.chmod(int(owner["mode"], 8))
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


def names(found, *checks, state=None):
    """Doctor names these; gives what mends each."""
    for check in checks:
        assert found[check]["state"] in ((state,) if state else ("warning", "failure")), found[check]
        named.add(check)
    return [found[check]["fix"] for check in checks]


def heal(registry, fixes):
    """Run what was printed, as it was printed, each line once; what deploys comes last."""
    lines = dict.fromkeys(line for fix in fixes for line in fix.splitlines())
    for line in sorted(lines, key=lambda line: line.startswith("pulumi up")):
        registry.run("sh", "-euc", line, env={"PULUMI_SKIP_CONFIRMATIONS": "true"})


def until_well(registry, *checks, options=(), seconds=180):
    """Wait until these checks are ok, or all that were done: what was mended may need a moment to show."""
    deadline = time.monotonic() + seconds
    while True:
        found = registry.doctor(*options)
        wrong = [found[check] for check in checks if found[check]["state"] != "ok"]
        if not checks:
            wrong = [each for each in found.values() if each["state"] in ("warning", "failure")]
        if not wrong:
            return
        assert time.monotonic() < deadline, wrong
        time.sleep(0.3)


def bao(registry, *arguments, text=None):
    return registry.run("bao", *arguments, text=text)


def test_settings_that_were_not_deployed_and_what_up_makes_again(registry):
    consul = registry.cluster.consul_address
    entry = {"Kind": "service-defaults", "Name": "registry", "Protocol": "http"}
    httpx.put(f"{consul}/v1/config", json=entry).raise_for_status()
    bao(registry, "kv", "metadata", "delete", "-mount=secret", "docker-registry/http")

    found = registry.doctor("--write")

    checks = ("login-asked-for", "job-as-wanted", "location-right", "mesh-protocol", "secrets-there")
    fixes = names(found, *checks)
    assert "sends clients to http://registry.internal:5000" in found["location-right"]["what"]
    heal(registry, [fix for fix in fixes if "drift" not in fix])
    until_well(registry, *checks, "image-moves", "service-healthy", options=("--write",))


def test_a_registry_that_is_well_has_no_failure_and_no_warning(registry):
    until_well(registry, options=("--write",))


def test_servers_that_are_down_are_named_and_what_depends_on_them_is_not_called_ok(registry):
    stop(registry, "nomad", "consul", "openbao", "traefik")
    try:
        found = registry.doctor()
    finally:
        registry.cluster.cluster.up()  # `systemctl start`, on a machine whose init system has them

    fixes = names(found, "nomad-ready", "consul-ready", "vault-ready", "name-leads-there", "traefik-routes")
    starts = [fix.partition("   #")[0] for fix in fixes[:4]]
    assert starts == [f"systemctl start {name}" for name in ("nomad", "consul", "vault", "traefik")]
    of_nomad = ("job-deployed", "allocation-runs", "deployment-succeeded", "volume-offered", "takes-pushes")
    assert {found[check]["state"] for check in of_nomad} == {"not looked at"}
    assert found["service-healthy"]["state"] == "not looked at"
    until_well(registry, "nomad-ready", "consul-ready", "vault-ready", "traefik-routes", "service-healthy")
    registry.wait_until_served()  # Consul begins with what it knew before


def stop(registry, *servers):
    """End servers of the cluster, as a crash does; a busy machine takes its time to close their ports."""
    registry.cluster.kill(*servers)
    ports = registry.ports
    until(
        lambda: all(map(is_free, (ports.nomad_http, ports.consul_http, ports.vault_api, ports.traefik_tls)))
    )


def test_a_freeze_that_somebody_left_is_thawed(registry):
    registry.run("nomad", "var", "put", "nomad/jobs/docker-registry", "mode=read-only")
    until(lambda: mode(registry) == "read-only")

    fixes = names(registry.doctor("--write"), "takes-pushes", "image-moves")

    heal(registry, fixes[:1])
    until_well(registry, "takes-pushes", "image-moves", options=("--write",))


def mode(registry):
    """What the registry says of itself."""
    return httpx.get(f"http://{registry.address}/v2/").headers.get("X-Registry-Mode")


def test_a_directory_that_the_registry_may_not_enter(registry):
    registry.cluster.instance.registry_volume.chmod(0)

    found = registry.doctor("--write")

    fix, log = names(found, "volume-directory", "image-moves", state="failure")
    assert "push: 500" in found["image-moves"]["what"]
    until(lambda: "permission denied" in registry.run("sh", "-euc", log))  # logs come a moment later
    heal(registry, [fix])
    until_well(registry, "volume-directory", "image-moves", options=("--write",))


def test_what_a_crash_and_careless_hands_leave_in_the_store(registry, tmp_path):
    root = registry.cluster.instance.registry_volume / "docker/registry/v2"
    store = Store(registry, tmp_path)
    for tag in ("empty", "lost"):
        store.push(f"doctor/app:{tag}", store.layer(1000))
    digests = [store.push(f"doctor/gone:{number}", store.layer(1000)) for number in range(2)]
    empty, lost = (blob_of(registry, store, f"doctor/app:{tag}") for tag in ("empty", "lost"))
    contents = [(root / f"blobs/{path}").read_bytes() for path in (empty, lost)]
    (root / f"blobs/{empty}").write_bytes(b"")
    (root / f"blobs/{lost}").unlink()
    revision = digests[0].replace(":", "/")
    shutil.rmtree(root / f"repositories/doctor/gone/_manifests/revisions/{revision}")
    os.chown(root / f"blobs/{blob_path(digests[1])}", 0, 0)
    os.chown(registry.cluster.instance.registry_volume, 0, 0)

    found = registry.doctor()

    checks = ("volume-directory", "store-owner", "no-empty-files", "no-dangling-links")
    fixes = names(found, *checks, state="failure")
    dangling = found["no-dangling-links"]["what"]
    assert dangling.startswith("tag doctor/gone:0 points at nothing, doctor/app:lost lacks sha256:")
    heal(registry, fixes)
    registry.wait_until_served()
    for content in contents:
        push_blob(store, "doctor/app", content)  # as `docker push` does with each layer that is missing
    store.client.close()
    until_well(registry, *checks)


def blob_of(registry, store, image):
    """Path of an image's layer below `blobs`."""
    repository, tag = image.split(":")
    manifest = store.client.get(f"/{repository}/manifests/{tag}").json()
    return blob_path(manifest["layers"][0]["digest"])


def push_blob(store, repository, content):
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert store.client.head(f"/{repository}/blobs/{digest}").status_code == 404
    upload = store.client.post(f"/{repository}/blobs/uploads/").raise_for_status().headers["Location"]
    store.client.put(
        f"http://{store.registry.address}{upload}&digest={digest}", content=content
    ).raise_for_status()


def blob_path(digest):
    value = digest.removeprefix("sha256:")
    return f"sha256/{value[:2]}/{value}/data"


def test_secrets_that_are_lost_or_open_a_log_in_that_is_wrong_and_a_collection_that_is_late(registry):
    bao(registry, "kv", "delete", "-mount=secret", "docker-registry/users")
    wide = 'path "secret/*" { capabilities = ["read"] }'
    bao(registry, "policy", "write", "doctor-wide", "-", text=wide)
    config = Path(registry.cluster.env["DOCKER_CONFIG"], "config.json")
    logins = json.loads(config.read_text())
    logins["auths"][registry.tls_address]["auth"] = "ZGVtbzp3cm9uZw=="
    config.write_text(json.dumps(logins))
    registry.run("nomad", "var", "put", "-force", "nomad/jobs/docker-registry-gc", "succeeded=1700000000")

    found = registry.doctor()

    checks = ("secrets-there", "secrets-closed", "login-works", "maintenance-done")
    restored, shown, login, collected = names(found, *checks)
    heal(registry, [restored, shown])
    bao(registry, "policy", "write", "doctor-wide", "-", text=wide.replace("*", "data/homepage"))
    assert login == f"docker login --username {DEMO_USER} {registry.tls_address}"
    # docker asks for the password on a terminal.
    registry.run("script", "-qec", login, "/dev/null", text=f"{registry.password}\n")
    heal(registry, [collected])
    until_well(registry, *checks)
    bao(registry, "policy", "delete", "doctor-wide")


def test_a_node_that_was_drained_and_not_enabled_again(registry):
    [node] = httpx.get(f"{registry.cluster.nomad_address}/v1/nodes").json()
    registry.run("nomad", "node", "eligibility", "-disable", node["ID"])
    registry.run("nomad", "alloc", "stop", "-detach", registry.allocation())
    until(lambda: registry.doctor()["allocation-runs"]["state"] == "failure")

    why, enabled = names(registry.doctor(), "allocation-runs", "node-takes-work")

    assert "not eligible for new work" in registry.run("sh", "-euc", why, check=False)
    heal(registry, [enabled])
    until_well(registry, "allocation-runs", "node-takes-work", "service-healthy", "traefik-routes")


@pytest.fixture
def other_name(registry):
    """Another name for the registry, only in the settings; every line with it in /etc/hosts goes."""
    before = registry.settings_text()
    name = f"{registry.cluster.instance.label}.homelab.local"
    registry.change("registry", hostname=name)
    yield name
    registry.restore(before)
    for line in hosts.HOSTS.read_text().splitlines():
        if name in line:
            hosts.edit(hosts.HOSTS, remove=line)


def heal_hosts(registry, fix):
    """Other clusters add and remove their lines at any time."""
    registry.run("flock", "/etc/hosts", "sh", "-euc", fix)


def test_a_name_that_does_not_resolve_or_leads_elsewhere(registry, other_name):
    [fix] = names(registry.doctor(), "name-resolves")
    heal_hosts(registry, fix)
    until_well(registry, "name-resolves", "name-leads-there", "port-reachable")

    [line] = [each for each in hosts.HOSTS.read_text().splitlines() if other_name in each]
    hosts.edit(hosts.HOSTS, remove=line, add=f"127.77.7.7 {other_name}")
    fixes = names(registry.doctor(), "name-leads-there", "port-reachable")
    heal_hosts(registry, fixes[0])
    until_well(registry, "name-resolves", "name-leads-there", "port-reachable")


def test_settings_that_say_another_directory_and_let_everybody_through(registry, tmp_path):
    before, disk = registry.settings_text(), tmp_path / "disk"
    disk.mkdir()
    registry.run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk))
    try:
        registry.change("storage", path=str(disk))
        registry.change("access", allowedCidrs=["0.0.0.0/0"])

        found = registry.doctor()

        offered, space, _ = names(found, "volume-offered", "volume-space", "settings-sound")
        assert space == f"python -m ops gc --stack {STACK}"  # which frees nothing in another directory
        registry.run("mount", "-o", "remount,size=20g", str(disk))
        registry.change("access", allowedCidrs=None)  # as the warning says
        until_well(registry, "volume-space", "settings-sound")
        back = offered.partition("To leave them where they are: ")[2]
        heal(registry, [back])
        until_well(registry, "volume-offered", "volume-directory")
    finally:
        registry.restore(before)
        registry.run("umount", str(disk))


@pytest.fixture
def traefik(registry, tmp_path):
    """A second Traefik at an address that docker does not take for this machine's own."""
    instance = registry.cluster.instance
    [link] = json.loads(registry.run("ip", "-j", "-4", "address", "show", instance.label))
    address = link["addr_info"][0]["local"]
    return SecondTraefik(instance, tmp_path, address, instance.ports.traefik_tls + 60)


def test_a_traefik_with_its_own_certificate_and_timeouts(registry, traefik, other_name):
    hosts.edit(hosts.HOSTS, add=f"{traefik.address} {other_name}")
    registry.change("tls", port=traefik.port)
    address = f"{other_name}:{traefik.port}"
    entry_point = traefik.static["entryPoints"]["websecure"]
    transport = entry_point.pop("transport")  # so it has Traefik's defaults
    traefik.certify("somebody.else", until=datetime.now(UTC) + timedelta(days=5))
    with traefik.running():
        found = registry.doctor("--traefik-api", traefik.api)
        checks = ("certificate-name", "certificate-days", "docker-trusts", "traefik-read-timeout")
        fixes = names(found, *checks, "traefik-routes")
        assert "x509" in registry.docker("pull", f"{address}/any:1", check=False)

    setting = fixes[3].partition("   #")[0]
    assert setting == "entryPoints.websecure.transport.respondingTimeouts.readTimeout: 0"
    assert transport == {"respondingTimeouts": {"readTimeout": "0s"}}
    entry_point["transport"] = transport
    traefik.certify(other_name)  # what the other fixes ask of whoever runs Traefik
    trusted = Path("/etc/docker/certs.d", address)
    try:
        with traefik.running():
            heal(registry, fixes[2:3])
            until_well(registry, *checks, options=("--traefik-api", traefik.api))
            assert "x509" not in registry.docker("pull", f"{address}/any:1", check=False)
    finally:
        shutil.rmtree(trusted, ignore_errors=True)


def test_a_traefik_that_leaves_the_service_out_and_then_limits_what_is_pushed(registry, tmp_path):
    instance, before = registry.cluster.instance, registry.settings_text()
    second = SecondTraefik(instance, tmp_path, "127.0.0.1", instance.ports.traefik_tls + 60)
    limit = {"middlewares": {"small": {"buffering": {"maxRequestBodyBytes": 2 * MIB}}}}
    (tmp_path / "tls.yml").write_text(yaml.safe_dump({**certificates(instance), "http": limit}))
    second.static["entryPoints"]["websecure"]["http"]["middlewares"] = ["small@file"]
    provider = second.static["providers"]["consulCatalog"]
    provider["constraints"] = "Tag(`public`)"
    agent = f"{registry.cluster.consul_address}/v1/agent/service"
    public = {"Name": "public", "Port": 1, "Tags": ["public", "traefik.enable=true"]}
    httpx.put(f"{agent}/register", json=public).raise_for_status()
    try:
        registry.change("tls", port=second.port)
        with second.running():
            [fix] = names(registry.doctor("--traefik-api", second.api), "traefik-knows")
        line = fix.splitlines()[-1]
        assert line.startswith("providers.consulCatalog.constraints: ")
        provider["constraints"] = line.split('"')[1].replace("THOSE", provider["constraints"])
        with second.running():
            until_well(registry, "traefik-knows", options=("--traefik-api", second.api))
            registry.login(f"{HOSTNAME}:{second.port}")
            found = registry.doctor("--write", "--up-to", "4MiB", "--traefik-api", second.api)
            [fix] = names(found, "image-moves")
    finally:
        httpx.put(f"{agent}/deregister/public").raise_for_status()
        registry.restore(before)
    assert f"{HOSTNAME}:{second.port}: push of a layer of 4 MiB: 413" in found["image-moves"]["what"]
    assert f"{registry.address}: push" not in found["image-moves"]["what"]
    assert fix == "buffering.maxRequestBodyBytes: 0   # of Traefik's middleware: small@file (2097152 bytes)"


def test_a_task_that_died_and_a_port_that_nobody_serves(registry):
    container = f"registry-{registry.allocation()}"
    registry.docker("kill", "--signal", "KILL", container)
    until(lambda: mode(registry))
    checks = f"{registry.cluster.consul_address}/v1/health/checks/registry"
    until(lambda: {check["Status"] for check in httpx.get(checks).json()} == {"passing"})
    kill_proxy(registry.ports.registry)
    until(lambda: "critical" in {check["Status"] for check in httpx.get(checks).json()})

    found = registry.doctor()

    logs, restarted, _ = names(found, "task-stays-up", "registry-answers", "service-healthy")
    assert "Exit Code: 137" in found["task-stays-up"]["what"]
    heal(registry, [logs, restarted])
    until_well(registry, "registry-answers", "service-healthy", "traefik-routes")


def kill_proxy(port):
    """End the program by which docker publishes a port of this cluster."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = entry.read_text().split("\0")
            if "docker-proxy" in arguments[0] and str(port) in arguments:
                os.kill(int(entry.parent.name), 9)


@pytest.fixture
def second_nomad(registry, tmp_path):
    """Another Nomad, whose configuration says nothing of Consul but where its agent is."""
    ports = registry.ports
    own = {name: ports.nomad_http + number for number, name in enumerate(("http", "rpc", "serf"), 60)}
    config = {
        "data_dir": str(tmp_path),
        "bind_addr": "127.0.0.1",
        "advertise": {name: f"127.0.0.1:{port}" for name, port in own.items()},
        "ports": own,
        "server": {"enabled": True, "bootstrap_expect": 1},
        "client": {"enabled": True, "options": {"driver.allowlist": "raw_exec"}},
        "consul": {"address": f"127.0.0.1:{ports.consul_http}"},
        "disable_update_check": True,
    }
    file = tmp_path / "nomad.json"
    file.write_text(json.dumps(config))
    program = registry.cluster.instance.bin / "nomad"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([program, "agent", "-config", file], stdout=log, stderr=log)
    yield process
    process.terminate()
    process.wait(180)


def test_a_second_nomad_and_a_service_that_it_took_out_of_consul(registry, second_nomad):
    until(lambda: registry.doctor()["nomad-alone"]["state"] == "failure")
    consul = registry.cluster.consul_address

    def found_without_it():
        """The second one takes it out once a minute, ours puts it back every half."""
        for service in httpx.get(f"{consul}/v1/health/service/registry").json():
            url = f"{consul}/v1/agent/service/deregister/{service['Service']['ID']}"
            httpx.put(url).raise_for_status()
        found = registry.doctor()
        return found if found["service-registered"]["state"] == "failure" else None

    apart, restarted = names(until(found_without_it), "nomad-alone", "service-registered")

    heal(registry, [apart])
    second_nomad.wait(180)
    until_well(registry, "nomad-alone")
    heal(registry, [restarted])
    until_well(registry, "service-registered", "service-healthy", "traefik-routes")


class _Stranger(BaseHTTPRequestHandler):
    server_version, sys_version = "nginx", ""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_job_that_was_stopped_and_whose_port_another_program_has(registry):
    registry.run("nomad", "job", "stop", "-detach", "docker-registry")
    until(lambda: registry.doctor()["traefik-knows"]["state"] == "failure")
    until(lambda: is_free(registry.ports.registry))
    with HTTPServer(("127.0.0.1", registry.ports.registry), _Stranger) as stranger:
        Thread(target=stranger.serve_forever, daemon=True).start()

        found = registry.doctor()
        fixes = names(found, "job-deployed", "port-free", "traefik-routes", "traefik-knows")
        assert "nginx" in found["port-free"]["what"]
        assert f"has port {registry.ports.registry} of 127.0.0.1" in found["port-free"]["what"]
        heal(registry, fixes[:2])

        until_well(registry, "job-deployed", "port-free", "traefik-routes", "traefik-knows")
        until_well(registry, "service-registered", "task-stays-up")  # the new allocation has not died
        stranger.shutdown()


def test_every_check_is_caused_here_or_told_why_not():
    assert {id_of(check) for check in CHECKS} - named == set(ELSEWHERE)
