import pytest

from checks.backup_volume import backup_place_problems, require_backup_volume
from checks.errors import CheckError

MAINTENANCE = {"backup": {}}


@pytest.fixture
def nomad(servers, ready):
    """Settings with backups, and a Nomad whose clients offer these volumes."""

    def make(*clients, **sections):
        nodes = [
            {
                "Name": f"nas{number}",
                "Status": "ready",
                "HostVolumes": {
                    name: {"Path": path, "ReadOnly": path.startswith("/ro")} for name, path in volumes.items()
                },
            }
            for number, volumes in enumerate(clients)
        ]
        settings = ready(sections={"maintenance": MAINTENANCE, **sections})
        return servers(settings, {"/v1/nodes": {"status": 200, "body": nodes}}).nomad, settings

    return make


def offered(backup):
    return {"registry_data": "/srv/registry_data", "registry_backup": backup}


def test_a_volume_on_other_disks_is_a_place_for_backups(nomad):
    asked = nomad(offered("/volume2/backups"))

    assert list(backup_place_problems(*asked)) == []
    require_backup_volume(*asked)


@pytest.mark.parametrize("path", ["/srv/registry_data", "/srv/registry_data/backups", "/srv"])
def test_backups_in_the_directory_of_the_images_or_around_it_are_refused(nomad, path):
    (problem,) = backup_place_problems(*nomad(offered(path)))

    assert problem == (
        f"docker-registry:maintenance.backup.volume: nas0 offers {path} for it, and the images are in "
        "/srv/registry_data: what destroys one destroys the other; "
        "choose a directory beside it, best on other disks"
    )


def test_a_directory_whose_name_begins_alike_is_another(nomad):
    assert list(backup_place_problems(*nomad(offered("/srv/registry_data2")))) == []


def test_a_stack_without_backups_has_no_problem(nomad):
    assert list(backup_place_problems(*nomad({}, maintenance={}))) == []


def test_a_volume_that_nobody_offers_is_an_error_that_says_what_to_do(nomad):
    asked = nomad({"registry_data": "/srv/registry_data"})

    assert list(backup_place_problems(*asked)) == []
    with pytest.raises(CheckError) as caught:
        require_backup_volume(*asked)
    told = str(caught.value)
    assert told.startswith("no Nomad client with the images offers the volume registry_backup of ")
    assert "install -d -m 700 -o 1000 -g 1000 " in told
    assert 'host_volume "registry_backup" {' in told


def test_a_volume_on_another_machine_than_the_images_does_not_count(nomad):
    with pytest.raises(CheckError, match="no Nomad client with the images offers"):
        require_backup_volume(
            *nomad({"registry_data": "/srv/registry_data"}, {"registry_backup": "/backups"})
        )


def test_a_volume_that_is_read_only_is_an_error(nomad):
    with pytest.raises(CheckError, match="on nas0 offers the volume registry_backup read-only"):
        require_backup_volume(*nomad(offered("/ro/backups")))
