import pytest

from config.registry import RegistryVersion, version_of_image


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry:2", RegistryVersion.V2),
        ("registry:2.8.3", RegistryVersion.V2),
        ("registry:2-alpine", RegistryVersion.V2),
        ("registry:3", RegistryVersion.V3),
        ("localhost/x/registry:3.1.1", RegistryVersion.V3),
        ("distribution/distribution:v3.0.0", RegistryVersion.V3),
        ("host:5000/registry:3.1.1@sha256:2222", RegistryVersion.V3),
        ("registry", None),
        ("registry:latest", None),
        ("registry:edge", None),
        ("registry:1", None),
        ("registry:20", None),
        ("registry:2_8", None),
        ("other/app:7", None),
        ("registry@sha256:2222", None),
        ("host:2/registry", None),
    ],
)
def test_the_tag_of_an_image_tells_its_major_version(image, version):
    assert version_of_image(image) is version
