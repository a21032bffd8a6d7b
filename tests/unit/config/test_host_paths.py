import pytest

from config.problems import SettingsError

MIRROR = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
FORM = "; write it like /volume1/nomad/volumes/registry_data"


def problems(read_settings, **sections):
    with pytest.raises(SettingsError) as caught:
        read_settings(**sections)
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/etc/registry", "/etc"),
        ("//etc//registry/", "/etc"),
        ("/usr/share/registry", "/usr/share"),
        ("/usr/local", "/usr/local"),
        ("/proc/1/root", "/proc"),
        ("/lib64", "/lib64"),
        ("/var/lib/docker", "/var/lib/docker"),
        ("/var/lib/docker/volumes/registry", "/var/lib/docker"),
        ("/volume1/@docker/volumes", "/volume1/@docker"),
    ],
)
def test_a_directory_of_the_system_is_refused_with_where_it_is(read_settings, path, place):
    [line] = problems(read_settings, storage={"path": path})

    assert line.startswith("docker-registry:storage.path: '/")
    assert f"is in {place}, which is the system's own{FORM}" in line


@pytest.mark.parametrize(
    "path", ["/", "/data", "/usr", "/home", "/root/", "/volume1", "/var/lib", "/var/log"]
)
def test_a_directory_that_others_share_is_refused(read_settings, path):
    [line] = problems(read_settings, storage={"path": path})

    assert "gets another owner, and is not for the registry alone: it takes a place two levels deep" in line
    assert line.endswith(FORM)


@pytest.mark.parametrize(
    "path",
    ["/volume1/registry", "/srv/registry", "/home/registry", "/etcetera/registry", "/var/lib/registry"],
)
def test_a_directory_of_its_own_is_accepted(read_settings, path):
    assert str(read_settings(storage={"path": path}).volume_path) == path


def test_what_root_class_and_volume_make_is_refused_at_the_root(read_settings):
    [line] = problems(read_settings, storage={"root": "/"})
    assert line.startswith("docker-registry:storage.root: '/registry_data' gets another owner, ")
    [line] = problems(read_settings, storage={"root": "/var/lib", "volume": "docker"})
    assert line.startswith("docker-registry:storage.root: '/var/lib/docker' is in /var/lib/docker, ")


def test_the_directory_of_the_caches_is_checked_where_there_are_mirrors(read_settings):
    storage = {"cachePath": "/etc/cache"}

    [line] = problems(read_settings, storage=storage, mirrors=[MIRROR])
    assert line.startswith("docker-registry:storage.cachePath: '/etc/cache' is in /etc, ")
    assert read_settings(storage=storage)


def test_a_bad_directory_is_reported_beside_everything_else(read_settings):
    lines = problems(read_settings, storage={"path": "/etc", "kind": "dynamc"}, tls={"port": 0})

    assert [line.split(": ")[0].rpartition(":")[2] for line in lines] == [
        "storage.kind",
        "storage.path",
        "tls.port",
    ]
