"""Images move to a bucket and back by the commands of docs/scaling.md; there, three instances serve them."""

import hashlib
import json
import os
import re
import shutil
import signal
import threading
import time

import httpx
import pytest
from documents import block
from redis_server import redis_server
from s3_server import bridge_address, s3_server
from shared_registry import Clients, Image, Puller, expect, place
from waiting import until

from devcluster.stack import STACK

BUCKET = "images"
PAGE = "docs/scaling.md"
VARIABLES = block(PAGE, "export VOLUME=/volume1/nomad/volumes/high_capacity/registry_data BUCKET=images")
COPY = 'rclone copy --checksum --exclude \'_uploads/**\' "$VOLUME/docker" "s3:$BUCKET/docker"'
SYNC = 'rclone sync --checksum --exclude \'_uploads/**\' "$VOLUME/docker" "s3:$BUCKET/docker"'
BACK = 'rclone sync --checksum "s3:$BUCKET/docker" "$VOLUME/docker" --exclude \'_uploads/**\''
TO_THE_BUCKET = [
    block(PAGE, COPY),
    block(PAGE, SYNC),
    block(PAGE, "pulumi config rm --path docker-registry:storage.volume"),
]
INSTANCES = block(PAGE, "pulumi config set --path docker-registry:registry.count 3")
READ_ONLY = block(
    PAGE,
    "pulumi config set --path docker-registry:registry.config.storage.maintenance.readonly.enabled true",
)
TO_THE_VOLUME = block(PAGE, BACK)
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def servers(deployment):
    """A bucket that is there and empty, and a Redis."""
    instance = deployment.cluster.instance
    address, folder = bridge_address(instance), instance.root / "shared"
    with s3_server(folder / "s3", address) as s3, redis_server(folder / "redis", address) as redis:
        s3.rclone("mkdir", f"s3:{BUCKET}")
        yield s3, redis
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def open_redis(deployment, servers):
    """A Redis without password, for 2.x."""
    instance = deployment.cluster.instance
    folder = instance.root / "shared" / "open-redis"
    with redis_server(folder, bridge_address(instance), with_password=False) as redis:
        yield redis


@pytest.fixture(scope="module")
def registry(deployment):
    """The stack without passwords, whose bcrypt would take most of the time."""
    before = deployment.settings_text()
    deployment.change("auth", mode="none", users=None, allowAnonymous=True)
    deployment.up()
    deployment.wait_until_served(expected=200)
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture(scope="module")
def images(registry):
    """Images that are on the volume before anything is moved."""
    made = [Image(f"s3/before-{number}") for number in range(3)]
    clients = Clients(registry)
    for image in made:
        clients.push(image)
    return made


def test_the_documented_commands_move_all_images_to_a_bucket(registry, servers, images):
    s3, _ = servers
    volume = registry.cluster.instance.registry_volume
    on_volume = digests_on(volume)

    run_documented(registry, servers, *TO_THE_BUCKET)
    wait_for_instances(registry, 1)

    clients = Clients(registry)
    for image in images:
        clients.pull(image)
    assert digests_in(s3) == on_volume
    assert "registry_data" not in json.dumps(job_of(registry)["TaskGroups"][0]["Volumes"])


def test_the_documented_commands_start_three_instances(registry, servers, images):
    registry.change("registry", shutdownDelay="20s")  # Traefik needs 4 s, and more on a busy machine
    registry.change("maintenance", garbageCollection={"schedule": "17 4 1 1 *"})  # not beside the tests
    run_documented(registry, servers, INSTANCES)

    assert len(wait_for_instances(registry, 3)) == 3
    assert registry.output("registryAddress") == registry.tls_address
    assert "healthy" in registry.run("python", "-m", "ops", "status", "--stack", STACK)


def test_keys_and_passwords_are_in_no_job_no_container_and_no_answer(registry, servers):
    s3, redis = servers
    secrets = [s3.access_key, s3.secret_key, redis.password]
    wait_for_instances(registry, 3)
    shown = json.dumps(job_of(registry))
    shown += registry.containers("--filter", "name=registry-")
    for allocation in allocations(registry):
        shown += registry.docker("logs", f"registry-{allocation}")
    for address in addresses(registry, "registry-metrics"):
        shown += httpx.get(f"{address}/debug/vars").text

    assert "memstats" in shown
    assert not any(secret in shown for secret in secrets)


def test_doctor_names_a_redis_that_is_away_or_refuses_its_clients(registry, servers):
    _, redis = servers
    before, well = registry.settings_text(), registry.doctor()["redis-answers"]
    try:
        registry.change("registry", redis={"address": f"{redis.host}:1"})
        away = registry.doctor()["redis-answers"]
        registry.change("registry", redis={"address": redis.address})
        refused = registry.doctor()["redis-answers"]
    finally:
        registry.restore(before)

    assert well["state"] == "ok"
    assert away["state"] == refused["state"] == "warning"
    assert f"{redis.host}:1 cannot be reached" in away["what"]
    assert "NOAUTH" in refused["what"]
    assert "registry.redis.password" in refused["fix"]


def test_200_pushes_at_once_lose_nothing_while_an_instance_is_killed(registry, servers):
    _, redis = servers
    clients, images = Clients(registry), [Image(f"s3/many-{number}") for number in range(200)]
    wait_for_instances(registry, 3)
    victim = min(allocations(registry))
    process = int(registry.docker("inspect", "--format", "{{.State.Pid}}", f"registry-{victim}"))
    when_killed = []

    def kill():
        until(lambda: len(clients.pushed) >= 20, 300)
        os.kill(process, signal.SIGKILL)  # `docker kill` would take as long as the other pushes
        when_killed.append(len(clients.pushed))

    began = time.monotonic()
    killer = threading.Thread(target=kill)
    killer.start()
    clients.push_all(images)
    took = time.monotonic() - began
    killer.join(60)

    assert 20 <= when_killed[0] < len(images), "the instance was to be killed in the middle"
    ended = f"{registry.cluster.nomad_address}/v1/allocation/{victim}"
    until(lambda: httpx.get(ended).json()["TaskStates"]["registry"]["Restarts"])
    wait_for_instances(registry, 3)
    for image in images:
        clients.pull(image)
    assert redis.ask("DBSIZE") != ":0", "the instances share what they know"
    print(f"200 pushes and pulls in {took:.1f} s")


def test_an_upload_whose_chunks_go_to_different_instances_succeeds(registry):
    there = wait_for_instances(registry, 3)
    first, second, third = (httpx.Client(base_url=each, timeout=60) for each in there)
    chunks = [bytes([number]) * size for number, size in enumerate((6 * MIB, 3 * MIB, 6 * MIB))]
    content = b"".join(chunks)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    answer = first.post("/v2/s3/chunks/blobs/uploads/")
    expect(answer, 202)
    sent = 0
    for client, chunk in zip((second, third, first), chunks, strict=True):
        headers = {
            "Content-Range": f"{sent}-{sent + len(chunk) - 1}",
            "Content-Type": "application/octet-stream",
        }
        answer = client.patch(place(answer).raw_path.decode(), content=chunk, headers=headers)
        expect(answer, 202)
        sent += len(chunk)
    expect(third.put(f"{place(answer).raw_path.decode()}&digest={digest}"), 201)

    assert second.get(f"/v2/s3/chunks/blobs/{digest}").content == content


def test_what_one_instance_deletes_the_others_do_not_name(registry):
    there = wait_for_instances(registry, 3)
    first, second, third = (httpx.Client(base_url=each, timeout=60) for each in there)
    content = b"deleted soon"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    upload = place(first.post("/v2/s3/deleted/blobs/uploads/")).raw_path.decode()
    expect(first.put(f"{upload}&digest={digest}", content=content), 201)
    url = f"/v2/s3/deleted/blobs/{digest}"
    assert [each.head(url).status_code for each in (first, second, third)] == [200, 200, 200]

    expect(first.delete(url), 202)

    assert [each.head(url).status_code for each in (first, second, third)] == [404, 404, 404]


def test_a_collection_leaves_nothing_behind_that_an_instance_would_name(registry, servers, images):
    s3, _ = servers
    clients, gone = Clients(registry), Image("s3/gone")
    clients.push(gone)
    clients.pull(gone)
    assert clients.http.delete(f"/{gone.name}/manifests/{gone.digest}").status_code == 202
    [layer] = [digest for digest, content in gone.blobs.items() if len(content) == gone.size]
    url = f"/v2/{gone.name}/blobs/{layer}"
    there = wait_for_instances(registry, 3)
    assert [httpx.head(f"{each}{url}").status_code for each in there] == [200, 200, 200]

    with Puller(clients, images[0]) as puller:
        told = registry.run("python", "-m", "ops", "gc", "--stack", STACK)
        until(lambda: puller.pulls > 10)

    assert re.search(r"emptied the cache in Redis: [1-9][0-9]* keys", told), told
    assert layer.removeprefix("sha256:") not in digests_in(s3)
    there = wait_for_instances(registry, 3)
    assert [httpx.head(f"{each}{url}").status_code for each in there] == [404, 404, 404]
    clients.push(gone)
    clients.pull(gone)
    clients.pull(images[0])


def test_a_rolling_update_has_no_failed_pull(registry, servers, open_redis, images):
    wait_for_instances(registry, 3)
    before = allocations(registry).keys()
    # Three is what an autoscaler might have chosen. 2.x shows a Redis password, and so takes none.
    scaling = {"min": 2, "max": 4}
    registry.change(
        "registry", count=2, scaling=scaling, image="registry:2", redis={"address": open_redis.address}
    )
    registry.change("storage", s3={**registry.section("storage")["s3"], "redirect": True})
    with Puller(Clients(registry), images[0]) as puller:
        registry.up()
        wait_for_instances(registry, 3)
        until(lambda: puller.pulls > 50)
        time.sleep(1)

    assert not before & allocations(registry).keys(), "each instance was replaced"
    assert registry.changes() == {}, "the autoscaler's number, which is not registry.count, is no change"
    assert puller.failures == []
    print(f"{puller.pulls} pulls during the update")


def test_distribution_2_serves_the_same_bucket(registry, open_redis, images):
    clients, image = Clients(registry), Image("s3/by-2")
    clients.push(image)
    images.append(image)

    for each in images:
        clients.pull(each)
    assert open_redis.ask("DBSIZE") != ":0", "the instances share what they know"


def test_with_redirect_the_bucket_itself_gives_the_layers(registry, servers, images):
    s3, _ = servers
    there = wait_for_instances(registry, 3)
    for image, (layer, content) in ((each, layer_of(each)) for each in images):
        for instance in there:
            answer = httpx.get(f"{instance}/v2/{image.name}/blobs/{layer}")
            assert answer.status_code == 307, answer.text
            assert answer.headers["Location"].startswith(f"{s3.endpoint}/{BUCKET}/")
            assert httpx.get(answer.headers["Location"]).content == content


def test_the_documented_commands_make_the_registry_read_only(registry, servers, images):
    # One instance: its update takes a third of the time.
    one = {"count": None, "scaling": None, "shutdownDelay": None, "image": None}
    ports = {"port": registry.ports.registry, "debugPort": registry.ports.registry_debug}
    registry.change("registry", **one, **ports)
    run_documented(registry, servers, READ_ONLY)
    wait_for_instances(registry, 1)

    clients = Clients(registry)
    assert clients.http.post("/s3/late/blobs/uploads/").status_code == 405
    for image in images:
        clients.pull(image)


def test_the_documented_commands_move_all_images_back_to_the_volume(registry, servers, images):
    s3, _ = servers
    in_bucket = digests_in(s3)

    run_documented(registry, servers, TO_THE_VOLUME)
    wait_for_instances(registry, 1)

    assert in_bucket == digests_on(registry.cluster.instance.registry_volume)
    clients = Clients(registry)
    for image in (*images, Image("s3/after")):
        if image not in images:
            clients.push(image)
        clients.pull(image)


# What the tests read


def layer_of(image):
    """Its layer's digest and content."""
    return max(image.blobs.items(), key=lambda each: len(each[1]))


def run_documented(registry, servers, *parts):
    """Run blocks of docs/scaling.md in a shell that has the variables of the first one."""
    s3, redis = servers
    registry.shell(
        "\n".join(part.text for part in (VARIABLES, *parts)),
        replace={"http://s3.homelab.local:8333": s3.endpoint},
        text=f"{s3.access_key}\n{s3.secret_key}\n",  # it asks for them
        env={
            "RCLONE_CONFIG": "",  # no file
            "AWS_CA_BUNDLE": "",  # rclone 1.60 takes none
            "PORT": str(registry.ports.registry),
            "DEBUG_PORT": str(registry.ports.registry_debug),
            "REDIS": redis.address,
            "REDIS_PASSWORD": redis.password,
        },
    )


def digests_on(volume):
    return {file.parent.name for file in volume.glob("docker/registry/v2/blobs/sha256/*/*/data")}


def digests_in(s3):
    listed = s3.rclone("lsf", "-R", "--files-only", f"s3:{BUCKET}/docker/registry/v2/blobs/sha256")
    return {line.split("/")[1] for line in listed.decode().split()}


def job_of(registry):
    return httpx.get(f"{registry.cluster.nomad_address}/v1/job/docker-registry").json()


def wait_for_instances(registry, count):
    """Wait until Traefik sends to just these, and all serve and will go on to; gives their addresses."""
    url = f"{registry.cluster.instance.traefik_address}/api/http/services/registry@consulcatalog"

    def settled():
        healthy, there = registry.is_healthy(), addresses(registry, "registry")
        known = httpx.get(url).json().get("serverStatus", {})
        return there if healthy and len(there) == count and sorted(known) == sorted(there) else None

    return until(settled, interval=0.3)


def allocations(registry):
    """Those that run, by id."""
    found = httpx.get(f"{registry.cluster.nomad_address}/v1/job/docker-registry/allocations").json()
    # One that is to stop is not gone yet.
    wanted = [each for each in found if each["DesiredStatus"] == "run"]
    return {each["ID"]: each for each in wanted if each["ClientStatus"] == "running"}


def addresses(registry, service):
    url = f"{registry.cluster.consul_address}/v1/health/service/{service}?passing"
    return [
        f"http://{each['Service']['Address']}:{each['Service']['Port']}" for each in httpx.get(url).json()
    ]
