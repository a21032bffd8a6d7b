"""Section `storage`: what keeps the images: a directory that a Nomad volume offers, or a bucket."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from config.sections.base import AbsolutePath, Section
from config.sections.host import Host
from config.sections.s3 import S3


class Owner(Section):
    """Who owns the directory with the images; the container runs as the same user, with a bucket too."""

    uid: int = Field(1000, ge=0, le=2**31 - 1, description="User id.")
    gid: int = Field(1000, ge=0, le=2**31 - 1, description="Group id.")
    mode: str = Field("0750", pattern=r"^0[0-7]{3}$", description="Mode of the directory, in octal.")


class Storage(Section):
    """What keeps the images: a directory that a Nomad volume offers, or a bucket."""

    driver: Literal["filesystem", "s3"] = Field(
        "filesystem", description="filesystem: the images are on a host volume. s3: in a bucket."
    )
    s3: S3 | None = Field(None, description="The bucket; for driver s3.")
    volume: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")] | None = Field(
        None, description="Name of the Nomad volume; registry_data by default."
    )
    kind: Literal["static", "dynamic"] = Field(
        "static",
        description="static: the Nomad client's configuration offers the volume. "
        "dynamic: registered through Nomad's API (1.10 and newer).",
    )
    root: AbsolutePath = Field(
        PurePosixPath("/volume1/nomad/volumes"), description="Directory of all volumes on the host."
    )
    class_: Literal["high_capacity", "none"] = Field(
        "none", alias="class", description="Storage class: a directory between `root` and the volume."
    )
    path: AbsolutePath | None = Field(
        None,
        description="Directory of the volume, instead of the one that root, class and volume make: for the "
        "registry alone, at least two levels deep.",
    )
    owner: Owner = Field(Owner(), description="Owner and mode of the directory.")
    host: Host | None = Field(
        None, description="The machine with the disks, if `pulumi` does not run on it itself."
    )
    cache_volume: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")] | None = Field(
        None, description="Name of the Nomad volume with what the mirrors cache; registry_cache by default."
    )
    cache_path: AbsolutePath | None = Field(
        None, description="Directory of that volume, instead of the one that root, class and volume make."
    )
    node_id: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Nomad node with the directory; for kind dynamic.",
    )
