import os
from types import SimpleNamespace

import pytest

from checks.doctor.volume import volume_directory, volume_offered, volume_space

GIB = 1024**3


def offered(path="/srv/registry_data", read_only=False, name="registry_data"):
    volume = {name: {"Path": path, "ReadOnly": read_only}}
    node = {"Name": "nas", "Status": "ready", "Datacenter": "dc1", "HostVolumes": volume}
    return {"nomad /v1/nodes": {"status": 200, "body": [node]}}


def test_a_volume_that_is_offered_is_ok(look):
    assert look(volume_offered).what == "volume registry_data is offered at /srv/registry_data"


def test_a_volume_that_nobody_offers_comes_with_its_stanza(look):
    found = look(volume_offered, offered(name="other"))

    assert found.state == "failure"
    assert 'host_volume "registry_data"' in found.fix


def test_a_volume_at_another_path_is_told_with_how_to_move_it(look):
    found = look(volume_offered, offered("/srv/old"))

    assert "offers the volume registry_data at /srv/old" in found.what
    assert "storage.path /srv/old" in found.fix


def test_a_volume_that_is_read_only_is_a_failure(look):
    assert "read_only = false" in look(volume_offered, offered(read_only=True)).fix


@pytest.fixture
def directory(tmp_path):
    """The directory with the images, as the stack wants it."""
    made = tmp_path / "registry_data"
    made.mkdir()
    made.chmod(0o750)
    return made


def storage(directory, **owner):
    owner = {"uid": os.getuid(), "gid": os.getgid(), **owner}
    return {"storage": {"path": str(directory), "owner": owner}}


def test_a_directory_with_its_owner_and_mode_is_ok(look, directory):
    assert look(volume_directory, sections=storage(directory)).state == "ok"


def test_a_directory_that_is_missing_is_made_as_the_stack_wants_it(look, tmp_path):
    path = tmp_path / "gone"

    found = look(volume_directory, sections=storage(path, uid=1000, gid=1001))

    assert (found.state, found.fix) == ("failure", f"install -d -o 1000 -g 1001 -m 0750 {path}")


def test_a_directory_of_somebody_else_is_given_to_the_registry(look, directory):
    found = look(volume_directory, sections=storage(directory, uid=4321, gid=4321))

    assert (found.state, found.fix) == ("failure", f"chown -R 4321:4321 {directory}")


@pytest.mark.parametrize(("mode", "state"), [(0o550, "failure"), (0o755, "warning")])
def test_another_mode_is_a_failure_only_if_the_registry_may_not_write(look, directory, mode, state):
    directory.chmod(mode)

    found = look(volume_directory, sections=storage(directory))

    assert (found.state, found.fix) == (state, f"chmod 0750 {directory}")


def test_a_directory_on_another_machine_is_not_looked_at(look):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0pr1AHuZ1IbSC1XSAY6UW3DU5zw5Jm6OMgUTsX7Ov0"
    host = {"address": "nas", "hostKey": key}

    found = look(volume_directory, sections={"storage": {"path": "/srv/x", "host": host}})

    assert found.state == "not looked at"
    assert "on nas" in found.what and "upgrade-check" in found.what


def test_a_bucket_has_no_directory(look):
    bucket = {"driver": "s3", "s3": {"region": "eu", "bucket": "images"}}

    for check in (volume_offered, volume_directory, volume_space):
        found = look(check, sections={"storage": bucket})
        assert (found.state, found.what) == ("not looked at", "the images are in a bucket")


@pytest.fixture
def disk(monkeypatch):
    def of(free, total):
        size = SimpleNamespace(f_bavail=free, f_blocks=total, f_frsize=1)
        monkeypatch.setattr("checks.doctor.volume.os.statvfs", lambda _: size)

    return of


@pytest.mark.parametrize(
    ("free", "state"), [(50 * GIB, "ok"), (9 * GIB, "warning"), (0, "failure")], ids=["50", "9", "0"]
)
def test_little_room_is_a_warning_and_none_a_failure(look, directory, disk, free, state):
    disk(free, 100 * GIB)

    found = look(volume_space, sections=storage(directory))

    assert found.state == state


def test_room_is_made_by_the_collection_if_the_stack_has_it(look, directory, disk):
    disk(GIB, 100 * GIB)

    collected = {**storage(directory), "maintenance": {"garbageCollection": {}}}
    assert look(volume_space, sections=collected).fix == "python -m ops gc --stack dev"
    assert look(volume_space, sections=storage(directory)).fix.splitlines() == [
        "pulumi config set --path docker-registry:maintenance.garbageCollection.schedule '17 4 * * 0' "
        "--stack dev",
        "pulumi up --stack dev",
        "python -m ops gc --stack dev",
    ]


def test_the_room_on_another_machine_is_told_by_its_nomad_client(look):
    node = {
        "ID": "n1",
        "Name": "nas",
        "Status": "ready",
        "Datacenter": "dc1",
        "HostVolumes": {"registry_data": {"Path": "/volume1/data", "ReadOnly": False}},
    }
    disks = [
        {"Mountpoint": "/", "Available": GIB // 2, "Size": GIB},
        {"Mountpoint": "/volume1", "Available": 60 * GIB, "Size": 100 * GIB},
    ]
    answers = {
        "nomad /v1/nodes": {"status": 200, "body": [node]},
        "/v1/client/stats": {"status": 200, "body": {"DiskStats": disks}},
    }

    found = look(volume_space, answers, sections={"storage": {"path": "/volume1/data"}})

    assert found.what == "60.0 GiB free of 100.0 GiB"
