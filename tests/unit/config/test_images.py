"""The images of the settings: by tag, by digest, from any registry."""

import pytest

from config.problems import SettingsError
from config.registry import RegistryVersion

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def stack(image, **registry):
    return {
        "registry": {"image": image, "scriptImage": image, **registry},
        "maintenance": {"backup": {"image": image}, "scan": {"image": image}},
    }


@pytest.mark.parametrize(
    "image",
    [
        *("registry:3", "registry:3.1.1-alpine", f"registry:3@{DIGEST}", "docker.io/library/registry:3"),
        *(
            "images.lan:5000/a/registry:3",
            f"NAS/a__b/x-y.z:v3.0.0@{DIGEST}",
            f"[::1]:5000/registry:3@{DIGEST}",
        ),
    ],
)
def test_an_image_is_taken_as_docker_takes_it_and_a_digest_hides_no_version(read_settings, image):
    settings = read_settings(**stack(image))

    assert settings.registry.image == settings.registry.script_image == image
    assert settings.maintenance.backup.image == settings.maintenance.scan.image == image
    assert settings.registry_version is RegistryVersion.V3


def test_a_digest_alone_needs_the_version_beside_it(read_settings):
    pinned = f"registry@{DIGEST}"

    assert read_settings(**stack(pinned, version=2)).registry_version is RegistryVersion.V2
    with pytest.raises(SettingsError) as caught:
        read_settings(**stack(pinned))
    assert "does not tell the registry's major version; set registry.version to 2 or 3" in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        *("", "registry 3", "Registry:3", "registry:", f"registry@{DIGEST[:-1]}", f"registry:3@{DIGEST}0"),
        *(f"registry:3@{DIGEST.upper()}", "https://images.lan/registry:3", "registry:3@sha512:00", "a//b:3"),
        *("registry:3\n", "registry:²", "user@images.lan/registry:3"),
    ],
)
def test_what_is_no_image_is_refused_in_every_place(read_settings, image):
    with pytest.raises(SettingsError) as caught:
        read_settings(**stack(image, version=3))

    refused = [line.split(": ")[1] for line in str(caught.value).splitlines() if "is no image" in line]
    places = ("maintenance.backup", "maintenance.scan", "registry")
    wanted = {*(f"docker-registry:{place}.image" for place in places), "docker-registry:registry.scriptImage"}
    assert set(refused) == wanted
