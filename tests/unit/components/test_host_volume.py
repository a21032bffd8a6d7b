import os
import shlex
import subprocess
from pathlib import PurePosixPath

import pytest

from components.host_volume import HostVolume, HostVolumeArgs, directory_script
from config.sections.host import Host
from config.sections.storage import Owner

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICozIMZfcJdjcnLknmkKsb2CCTzMO9ggz8HL5l+RXTJ7"


def args(**changes):
    values = {
        "volume": "registry_data",
        "path": PurePosixPath("/volume1/nomad/volumes/registry_data"),
        "owner": Owner(),
        "host": None,
        "node_id": None,
        "namespace": "default",
        "setting": "storage.path",
        "store": "docker/registry/v2",
    }
    return HostVolumeArgs(**{**values, **changes})


def test_a_static_volume_is_a_directory_and_a_name(deploy):
    recorder, source = deploy(lambda: HostVolume("data", args()).source)

    assert source == "registry_data"
    assert recorder.types() == ["homelab:registry:HostVolume", "command:local:Command"]
    assert (
        "mkdir -p /volume1/nomad/volumes/registry_data" in recorder.inputs("command:local:Command")["create"]
    )


def test_destroying_a_volume_runs_nothing_on_the_host(deploy):
    recorder, _ = deploy(lambda: HostVolume("data", args()).source)

    assert "delete" not in recorder.inputs("command:local:Command")


def test_on_a_nas_the_host_key_is_checked_and_the_private_key_is_a_secret(deploy):
    host = Host.model_validate_json(
        f'{{"address": "nas.homelab.local", "hostKey": "{HOST_KEY}", "privateKey": "PRIVATE"}}'
    )
    volumes = []

    def program():
        volumes.append(HostVolume("data", args(host=host)))
        return volumes[0].source

    recorder, source = deploy(program)

    # One secret inside makes the whole connection one.
    connection = recorder.secret("command:remote:Command", "data-directory", "connection")
    assert connection["privateKey"] == "PRIVATE"
    assert source == "registry_data"
    assert connection["host"] == "nas.homelab.local"
    assert connection["hostKey"] == HOST_KEY


def test_a_dynamic_volume_is_registered_on_its_node_and_keeps_its_data(deploy):
    node = "5f6f1d4e-3c0f-4a69-9d3b-1f2e3d4c5b6a"
    recorder, source = deploy(lambda: HostVolume("data", args(node_id=node)).source)

    registration = recorder.inputs("nomad:index/dynamicHostVolumeRegistration:DynamicHostVolumeRegistration")
    assert source == "registry_data"
    assert registration == {
        "name": "registry_data",
        "namespace": "default",
        "nodeId": node,
        "hostPath": "/volume1/nomad/volumes/registry_data",
        "capabilities": [{"accessMode": "single-node-writer", "attachmentMode": "file-system"}],
    }


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Run the script for a directory; gives how it ended, and what it had `chown` do."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/chown").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/chown\n')
    (tmp_path / "bin/chown").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)

    def run(path, **changes):
        script = directory_script(args(path=PurePosixPath(path), **changes))
        ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        asked = tmp_path / "chown"
        return ended, asked.read_text() if asked.exists() else ""

    return run


@pytest.fixture
def other():
    """An owner that no directory of a test has."""
    return Owner(uid=os.getuid() + 1, gid=os.getgid(), mode="0710")


def test_the_directory_script_can_run_twice_and_keeps_what_is_inside(make, tmp_path):
    path = tmp_path / "a b" / "registry_data"
    owner = Owner(uid=os.getuid(), gid=os.getgid(), mode="0710")

    make(path, owner=owner)
    (path / "blob").write_text("kept")
    ended, _ = make(path, owner=owner)

    assert ended.returncode == 0
    assert (path / "blob").read_text() == "kept"
    assert path.stat().st_mode & 0o777 == 0o710


@pytest.mark.parametrize("uid", [os.getuid() + 1, os.getuid()], ids=["another's", "the same user's"])
def test_a_directory_with_somebodys_files_keeps_its_owner_and_mode(make, tmp_path, uid):
    path = tmp_path / "family's photos"
    (path / "2019").mkdir(parents=True)
    path.chmod(0o755)

    ended, chown = make(path, owner=Owner(uid=uid, gid=os.getgid(), mode="0710"))

    assert ended.returncode == 1
    assert "nothing was changed. Set docker-registry:storage.path to a directory of its own" in ended.stderr
    directory = shlex.quote(str(path))
    assert f"chown -R {uid}:{os.getgid()} {directory} && chmod 0710 {directory}" in ended.stderr
    assert chown == ""
    assert path.stat().st_mode & 0o777 == 0o755


def test_what_is_in_a_directory_of_the_right_owner_and_mode_does_not_matter(make, tmp_path):
    (tmp_path / "cache/quay").mkdir(parents=True)  # of a mirror that nobody has pulled from yet
    (tmp_path / "cache").chmod(0o710)

    ended, _ = make(tmp_path / "cache", owner=Owner(uid=os.getuid(), gid=os.getgid(), mode="0710"))

    assert ended.returncode == 0


@pytest.mark.parametrize("inside", [(), ("lost+found", "@eaDir"), ("docker/registry/v2/blobs", "notes")])
def test_a_new_directory_and_one_of_a_registry_get_their_owner(make, other, tmp_path, inside):
    path = tmp_path / "registry_data"
    for name in inside:
        (path / name).mkdir(parents=True)

    ended, chown = make(path, owner=other)

    assert ended.returncode == 0
    assert chown == f"-R {other.uid}:{other.gid} {path}\n"


def test_the_directory_above_a_registrys_is_not_taken_for_one(make, other, tmp_path):
    (tmp_path / "volumes/registry_data/docker/registry/v2").mkdir(parents=True)

    assert make(tmp_path / "volumes", owner=other)[0].returncode == 1


def test_the_caches_are_known_by_the_store_of_any_mirror(make, other, read_settings, tmp_path):
    cache = HostVolumeArgs.cache(read_settings())
    (tmp_path / "cache/quay/docker/registry/v2").mkdir(parents=True)
    (tmp_path / "cache/docker-hub/docker/registry/v2").mkdir(parents=True)
    (tmp_path / "music/album").mkdir(parents=True)

    assert make(tmp_path / "cache", owner=other, store=cache.store)[0].returncode == 0
    refused, _ = make(tmp_path / "music", owner=other, store=cache.store, setting=cache.setting)
    assert "Set docker-registry:storage.cachePath to" in refused.stderr
