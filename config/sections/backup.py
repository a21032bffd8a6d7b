"""Section `maintenance.backup`: where backups go, how often, and how many stay."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from config.sections.base import Image, SecretText, Section
from config.sections.schedule import Schedule

RESTIC_IMAGE = "restic/restic:0.18.1"
_ENDPOINT = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?")


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):  # the value is not repeated: it may have a password in it
        raise ValueError(
            "is no address of an S3 server; write it like https://s3.eu-central-1.amazonaws.com, without a "
            "path and without keys"
        )
    return value


class BackupBucket(Section):
    """A bucket for the backups."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(description="Address of the S3 server.")
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Bucket; it is made if it is not there and the keys may do that.",
    )
    prefix: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$",
        description="Folder in the bucket, by default `registry.name`.",
    )
    region: str | None = Field(
        None, pattern=r"^[a-z0-9-]+$", description="Region, where the server asks for one."
    )
    access_key: SecretText = Field(min_length=1, description="Access key.")
    secret_key: SecretText = Field(min_length=1, description="Secret key (a secret).")


class KeepSnapshots(Section):
    """Snapshots that stay."""

    daily: int = Field(7, ge=1, description="Newest daily ones.")
    weekly: int = Field(5, ge=0, description="Newest weekly ones.")
    monthly: int = Field(12, ge=0, description="Newest monthly ones.")


class Backup(Section):
    """Backups by restic to a second volume, or to a bucket."""

    schedule: Schedule = Field("17 2 * * *", description="When it runs (cron, or as @daily).")
    image: Image = Field(RESTIC_IMAGE, description="Image with restic.")
    volume: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")] | None = Field(
        None,
        description="Host volume for the backups, on the same machine and best on other disks; "
        "registry_backup by default.",
    )
    s3: BackupBucket | None = Field(None, description="Bucket for the backups, in place of a volume.")
    keep: KeepSnapshots = Field(KeepSnapshots(), description="Snapshots that stay.")
    drill: Schedule = Field(
        "17 3 1 * *", description="When the newest snapshot is restored for a test (cron)."
    )
