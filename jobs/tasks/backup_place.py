"""Where a stack's backups are: in a directory of the backup volume, or in a bucket of an S3 server."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.tasks.restic import Restic, ResticError
from jobs.tasks.vault_api import Vault, VaultError

# restic's words for a repository, and S3's for a key or a bucket; it says the same of an access key
_MISSING = re.compile("(key|bucket|repository) does not exist")
_WRONG_PASSWORD = "wrong password"  # noqa: S105 - restic's words
PATIENCE_SECONDS = 30  # the registry may be read-only meanwhile


class PlaceError(Exception):
    """The place cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What restic needs to reach the repository, and what of it is on this machine."""

    repository: str  # as restic names it
    lost: str  # what to say if there was one, and it is not there
    locked: Path  # whoever uses the backups has a lock on it; restic's own outlives a task that was killed
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # keys of a bucket
    folder: Path | None = None  # with the repository, on the volume
    mark: Path | None = None  # is there while the first repository is being made, on the volume

    @property
    def patience(self) -> float | None:
        """Seconds in which a bucket has to answer; restic waits for no volume."""
        return None if self.folder else PATIENCE_SECONDS

    def has_repository(self, restic: Restic) -> bool:
        """Whether backups were made here, by any password. Raises ResticError."""
        if self.folder:
            return (self.folder / "config").exists()
        try:
            restic.run("cat", "config", patience=self.patience)
        except ResticError as error:
            if _MISSING.search(str(error)):
                return False
            if _WRONG_PASSWORD not in str(error):
                raise
        return True

    def open_lock(self) -> int:
        """Open what is locked; a file descriptor. Raises PlaceError."""
        try:
            return os.open(self.locked, os.O_RDWR | os.O_CREAT if self.folder else os.O_RDONLY, 0o600)
        except OSError as error:
            raise PlaceError(
                f"cannot write to the backup volume ({error.strerror}): its directory must belong to user "
                f"{os.getuid()}, group {os.getgid()}"
            ) from None


def place_of_task(environment: Mapping[str, str], vault: Vault) -> Place:
    """Find it as the job says, and fetch the keys of a bucket. Raises PlaceError and VaultError."""
    if repository := environment.get("BUCKET"):
        return Place(
            repository=repository,
            lost=f"in {repository.removeprefix('s3:')}: is it the right bucket?",
            # All jobs that use the backups run where the images are.
            locked=Path(environment["STORE"]),
            variables=_bucket_variables(environment, vault),
        )
    volume, name = Path(environment["BACKUPS"]), environment["REGISTRY_JOB"]
    return Place(
        repository=str(volume / name),
        lost="in the backup volume: is its disk mounted?",
        locked=volume / f".{name}.lock",
        folder=volume / name,
        mark=volume / f".{name}.begun",
    )


def _bucket_variables(environment: Mapping[str, str], vault: Vault) -> Mapping[str, str]:
    path = environment["BUCKET_KEYS_PATH"]
    try:
        keys = vault.get(path)["data"]["data"]
    except VaultError as error:
        if error.status != 404:
            raise
        raise PlaceError(f"Vault has no keys of the bucket at {path}: `pulumi up` puts them there") from None
    region = environment.get("BUCKET_REGION")
    return {
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        **({"AWS_DEFAULT_REGION": region} if region else {}),
    }
