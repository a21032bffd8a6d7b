"""The two major versions of distribution, whose config.yml differs, and which of them an image is."""

import re
from enum import StrEnum


class RegistryVersion(StrEnum):
    """Major version of the registry in an image."""

    V2 = "2"
    V3 = "3"


# A tag names its major version alone, or followed by more of the version or a variant: 3, v3.0.0, 2-alpine.
_TAG = re.compile(r"v?(?P<major>[23])(?:$|[.\-])")


def version_of_image(image: str) -> RegistryVersion | None:
    """Major version that the image's tag names; None where the tag does not tell (`latest`, or no tag)."""
    name = image.partition("@")[0].rpartition("/")[2]
    tag = _TAG.match(name.partition(":")[2])
    return RegistryVersion(tag["major"]) if tag else None
