"""The Nomad volume for the backups: whether it is offered, and far enough from the images."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from checks.errors import CheckError
from checks.servers import Server
from checks.volume import offers, require_writable
from config.settings import Settings

_EXAMPLES = "/volume2/backups"


def backup_place_problems(nomad: Server, settings: Settings) -> Iterator[str]:
    """Say why a volume that is offered already is no place for backups. Raises CheckError."""
    volume = settings.backup_volume
    for offer in offers(nomad, volume) if volume else ():
        if _overlap(offer.path, settings.volume_path):
            yield (
                f"docker-registry:maintenance.backup.volume: {offer.node} offers {offer.path} for it, and "
                f"the images are in {settings.volume_path}: what destroys one destroys the other; "
                "choose a directory beside it, best on other disks"
            )


def require_backup_volume(nomad: Server, settings: Settings) -> None:
    """Raise CheckError, with what to do, unless the machine with the images offers the volume for writing."""
    volume = settings.backup_volume
    assert volume is not None  # noqa: S101 - for the type checker; asked only with maintenance.backup
    homes = {offer.node for offer in offers(nomad, settings.volume)}
    found = [offer for offer in offers(nomad, volume) if offer.node in homes]
    owner, example = settings.storage.owner, f"{_EXAMPLES}/{settings.registry.service}"
    if not found:
        raise CheckError(
            f"no Nomad client with the images offers the volume {volume} of "
            "docker-registry:maintenance.backup.\n"
            "On the machine with the images, as root:\n"
            f"  1. make a directory for the backups, best on other disks, as\n"
            f"       install -d -m 700 -o {owner.uid} -g {owner.gid} {example}\n"
            "  2. add this to the Nomad client's configuration:\n\n"
            "       client {\n"
            f'         host_volume "{volume}" {{\n'
            f'           path      = "{example}"\n'
            "           read_only = false\n"
            "         }\n"
            "       }\n\n"
            "  3. restart Nomad there (the running jobs go on): systemctl restart nomad\n"
            "  4. run `pulumi up` again"
        )
    require_writable(found, volume)


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
