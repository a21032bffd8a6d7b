import pytest

from config.problems import SettingsError

MIRRORS = [{"name": "quay", "upstream": "https://quay.io", "port": 5011}]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"storage": {"cacheVolume": "registry_data"}}, "storage.cacheVolume: registry_data has the images"),
        ({"storage": {"cachePath": "/volume1/nomad/volumes/registry_data/cache"}}, "are one in the other"),
        ({"storage": {"cachePath": "/volume1/nomad"}}, "are one in the other"),
        (
            {"storage": {"cacheVolume": "registry_backup"}, "maintenance": {"backup": {}}},
            "storage.cacheVolume: registry_backup has the backups",
        ),
    ],
)
def test_caches_share_no_place_with_images_or_backups(read_settings, sections, said):
    with pytest.raises(SettingsError, match=said):
        read_settings(mirrors=MIRRORS, **sections)


def test_without_mirrors_and_beside_a_bucket_there_is_nothing_to_share(read_settings):
    read_settings(storage={"cacheVolume": "registry_data"})
    bucket = {"driver": "s3", "s3": {"bucket": "images", "region": "eu"}}
    assert read_settings(mirrors=MIRRORS, storage={**bucket, "cacheVolume": "registry_data"}).mirrors.root
