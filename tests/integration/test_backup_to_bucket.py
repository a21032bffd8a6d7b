"""Backups to a bucket: the whole way there and back, with keys that nobody sees."""

import json
import shutil
import subprocess
import sys

import httpx
import pytest
from image_store import MIB, Store
from s3_server import s3_server
from waiting import until

from devcluster.stack import STACK

JOBS = [f"docker-registry-{kind}" for kind in ("backup", "drill", "snapshots", "restore")]
SECRET_KEY = "docker-registry:maintenance.backup.s3.secretKey"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """The server; its bucket is made by the first backup."""
    with s3_server(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture(scope="module")
def registry(deployment, bucket):
    before = deployment.settings_text()
    place = {"endpoint": bucket.endpoint, "bucket": "backups", "prefix": "home/nas", "region": bucket.region}
    never = {"schedule": "17 2 1 1 *", "drill": "17 3 1 1 *"}  # not beside the tests
    deployment.change("maintenance", backup={**never, "s3": {**place, "accessKey": bucket.access_key}})
    command = ("pulumi", "config", "set", "--secret", "--path", SECRET_KEY, "--stack", STACK)
    deployment.run(*command, text=bucket.secret_key)
    deployment.up()
    deployment.wait_until_served()
    deployment.login(deployment.address)
    yield deployment
    deployment.restore(before)
    deployment.up()


@pytest.fixture(scope="module")
def images(registry, tmp_path_factory):
    """References of two images by their digests."""
    store = Store(registry, tmp_path_factory.mktemp("images"))
    names = {name: store.push(f"{name}:1", store.layer(3 * MIB)) for name in ("bucket/app", "bucket/base")}
    store.client.close()
    return [f"{registry.address}/{name}@{digest}" for name, digest in names.items()]


def ops(registry, *arguments, **options):
    return registry.run("python", "-m", "ops", *arguments, "--stack", STACK, **options)


def snapshots(registry):
    return json.loads(ops(registry, "backup", "list", "--json"))


def objects(bucket):
    """Path and size of each object in the bucket."""
    lines = bucket.rclone("lsf", "-R", "--files-only", "--format", "ps", "s3:backups").decode().splitlines()
    return {path: int(size) for path, size in (line.rsplit(";", 1) for line in lines)}


def test_a_secret_key_in_clear_is_refused_at_preview(registry, bucket):
    before = registry.settings_text()
    try:
        backup = registry.section("maintenance")["backup"]
        place = {**backup["s3"], "secretKey": bucket.secret_key}
        registry.change("maintenance", backup={**backup, "s3": place})
        told = registry.preview(check=False)
    finally:
        registry.restore(before)
    assert f"{SECRET_KEY}: is in clear: " in told
    assert bucket.secret_key not in told


def test_before_the_first_backup_there_is_none_to_list_or_restore(registry):
    assert snapshots(registry) == []
    assert "there is no backup yet" in ops(registry, "restore", "latest", "--yes", check=False)


def test_a_backup_is_in_the_bucket_and_pushes_are_taken_before_old_ones_are_looked_at(
    registry, bucket, images
):
    told = ops(registry, "backup", "now")

    assert "MiB of it new; 1 snapshots are kept" in told
    assert told.index("docker-registry is writable again after ") < told.index("snapshots are kept")
    assert {path.split("/")[:2] == ["home", "nas"] for path in objects(bucket)} == {True}
    assert sum(objects(bucket).values()) > 6 * MIB


def test_a_drill_reads_it_back_with_keys_that_are_in_no_job_and_no_container(registry, bucket, images):
    told, shown = drill_watched(registry)

    assert "can be restored: " in told
    assert "jobs.tasks.drill" in shown
    shown += "".join(httpx.get(f"{registry.cluster.nomad_address}/v1/job/{job}").text for job in JOBS)
    shown += registry.run("pulumi", "stack", "export", "--stack", STACK)
    shown += registry.run("pulumi", "preview", "--diff", "--stack", STACK)
    shown += told + "".join(registry.cluster.task_logs().values())
    assert bucket.secret_key not in shown


def drill_watched(registry):
    """Run a drill; what it said, and what docker tells of containers and their processes meanwhile."""
    command = [sys.executable, "-m", "ops", "backup", "verify", "--stack", STACK]
    shown = []
    # Its socket and not its command, which takes longer than a drill on a busy machine.
    engine = httpx.HTTPTransport(uds=registry.cluster.docker_host.removeprefix("unix://"))
    with (
        httpx.Client(transport=engine, base_url="http://docker/containers", timeout=30) as docker,
        subprocess.Popen(
            command, cwd=registry.stack.project, env=registry.cluster.env, stdout=subprocess.PIPE, text=True
        ) as process,
    ):

        def has_ended():
            for container in docker.get("/json").json():
                shown.extend(docker.get(f"/{container['Id']}/{asked}").text for asked in ("json", "top"))
            return process.poll() is not None

        until(has_ended, 300)
        told = process.stdout.read()
    assert process.returncode == 0, told
    return told, "".join(shown)


def test_after_the_volume_was_wiped_every_image_comes_back_from_the_bucket(registry, images, tmp_path):
    shutil.rmtree(registry.cluster.instance.registry_volume / "docker")

    ops(registry, "restore", "latest", "--yes")
    registry.wait_until_served()
    for reference in images:
        registry.crane("pull", reference, str(tmp_path / "image.tar"))


def test_a_preview_shows_nothing_after_the_jobs_ran(registry):
    registry.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")
