"""What the registry and its images survive."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import threading

import httpx
import pytest
from deployment import Deployment
from running import RunningCluster
from throwaway import throwaway_cluster
from waiting import until


class Pusher(threading.Thread):
    """Pushes one image after the other until told to stop, and remembers those that were acknowledged."""

    def __init__(self, registry, folder):
        super().__init__(daemon=True)
        self.registry, self.folder, self.pushed = registry, folder, []
        self._done, self._count = threading.Event(), 0

    def run(self):
        while not self._done.is_set():
            reference = f"{self.registry.address}/survival/app:{self._count}"
            layer = self.folder / "layer.tar"
            with tarfile.open(layer, "w") as archive:
                content = self.folder / "content"
                content.write_bytes(os.urandom(300_000))
                archive.add(content, "content")
            command = ["crane", "--insecure", "append", "-f", str(layer), "-t", reference]
            try:
                done = subprocess.run(
                    command,
                    env=self.registry.cluster.env,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=60,
                )
            except subprocess.TimeoutExpired:  # what it pushed to ended without a word
                continue
            if done.returncode == 0:
                self.pushed.append(done.stdout.strip().rpartition("@")[2])
                self._count += 1

    def stop(self):
        self._done.set()
        self.join(120)


@pytest.fixture
def registry(deployment):
    deployment.wait_until_served()
    deployment.login(deployment.address)
    return deployment


@pytest.fixture
def pusher(registry, tmp_path):
    started = Pusher(registry, tmp_path)
    started.start()
    yield started
    started.stop()


def wait_for_pushes(pusher, more):
    wanted = len(pusher.pushed) + more
    until(lambda: len(pusher.pushed) >= wanted, 240)


def kill(registry, names):
    """kill -9, as when the power goes."""
    if "registry" in names:
        registry.docker("kill", "--signal", "KILL", f"registry-{registry.allocation()}")
    registry.cluster.kill(*names)


def every_blob_is_whole(volume):
    """The digest of each blob in the store is its name."""
    blobs = list((volume / "docker/registry/v2/blobs/sha256").glob("*/*/data"))
    for blob in blobs:
        with blob.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == blob.parent.name
    return len(blobs)


def client_of(registry):
    return httpx.Client(base_url=f"http://{registry.address}", auth=("demo", registry.password), timeout=60)


def every_acknowledged_push_is_there(registry, digests):
    with client_of(registry) as client:
        for digest in digests:
            manifest = client.get(f"/v2/survival/app/manifests/{digest}")
            assert manifest.status_code == 200, f"{digest}: {manifest.text}"
            content = manifest.json()
            for part in (content["config"], *content["layers"]):
                blob = client.get(f"/v2/survival/app/blobs/{part['digest']}")
                assert f"sha256:{hashlib.sha256(blob.content).hexdigest()}" == part["digest"]


def test_killing_each_server_and_then_all_during_pushes_loses_none_that_was_acknowledged(registry, pusher):
    cluster = registry.cluster.cluster
    names = ["registry", *(status.name for status in cluster.status())]
    assert {"dockerd", "consul", "openbao", "traefik", "nomad"} <= {*names}
    for victims in (*([name] for name in names), names):
        wait_for_pushes(pusher, 2)
        kill(registry, victims)
        cluster.up()  # what the machine's init system does
        registry.wait_until_served()
    wait_for_pushes(pusher, 2)
    pusher.stop()

    every_acknowledged_push_is_there(registry, pusher.pushed)
    assert every_blob_is_whole(cluster.instance.registry_volume) > len(pusher.pushed)
    assert registry.changes() == {}


@pytest.fixture
def small_disk():
    """A registry whose volume is a filesystem of 64 MB."""
    with throwaway_cluster() as made:
        volume = made.instance.registry_volume
        volume.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", volume], check=True)
        deployment = Deployment.make(RunningCluster.start(made))
        deployment.up()
        deployment.wait_until_served()
        yield deployment


def pushed(registry, name, size):
    """Push a blob of random content; gives the status of the last answer and its digest."""
    content = os.urandom(size)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with client_of(registry) as client:
        begun = client.post(f"/v2/{name}/blobs/uploads/")
        if begun.status_code != 202:
            return begun.status_code, digest
        location = begun.headers["Location"]
        return client.put(f"{location}&digest={digest}", content=content).status_code, digest


def pulled(registry, name, digest):
    with client_of(registry) as client:
        content = client.get(f"/v2/{name}/blobs/{digest}").content
    return f"sha256:{hashlib.sha256(content).hexdigest()}" == digest


def test_a_full_disk_refuses_pushes_keeps_what_is_there_and_heals_when_there_is_room(small_disk):
    registry, volume = small_disk, small_disk.cluster.instance.registry_volume
    status, kept = pushed(registry, "disk/app", 5_000_000)
    assert status == 201
    allocation = registry.allocation()
    filler = volume / "filler"
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(volume).free - 3_000_000))

    status, _ = pushed(registry, "disk/app", 10_000_000)

    assert status >= 500
    assert pulled(registry, "disk/app", kept)
    assert registry.allocation() == allocation
    filler.unlink()
    status, after = pushed(registry, "disk/app", 10_000_000)
    assert status == 201
    assert pulled(registry, "disk/app", after) and pulled(registry, "disk/app", kept)
    every_blob_is_whole(volume)
