import subprocess
from pathlib import PurePosixPath

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


def test_the_directory_script_can_run_twice_and_keeps_what_is_inside(tmp_path):
    path = tmp_path / "a b" / "registry_data"
    stat = tmp_path.stat()
    script = directory_script(PurePosixPath(path), Owner(uid=stat.st_uid, gid=stat.st_gid, mode="0710"))

    subprocess.run(["sh", "-c", script], check=True)
    (path / "blob").write_text("kept")
    subprocess.run(["sh", "-c", script], check=True)

    assert (path / "blob").read_text() == "kept"
    assert path.stat().st_mode & 0o777 == 0o710
