"""Whether Nomad offers the volume with what the mirrors cache."""

from checks.errors import CheckError
from checks.servers import Server
from checks.volume import indented, offers
from config.settings import Settings


def require_cache_offered(nomad: Server, settings: Settings) -> None:
    """Raise CheckError, with what to do, unless a client offers it at the stack's path for writing."""
    volume, path = settings.cache_volume, settings.cache_path
    found = offers(nomad, volume)
    right = [offer for offer in found if offer.path == path and not offer.read_only]
    if right:
        return
    offered = "; ".join(
        f"{offer.node} offers {offer.path}{', read-only' if offer.read_only else ''}" for offer in found
    )
    raise CheckError(
        f"no Nomad client offers the volume {volume} of the mirrors at {path} for writing"
        f"{f' ({offered})' if offered else ''}.\n"
        "On the machine with the directory, which `pulumi up` makes:\n"
        "  1. let the configuration of its Nomad client say:\n\n"
        f"{indented(settings.cache_stanza)}\n"
        "  2. restart Nomad there (the running jobs go on): systemctl restart nomad\n"
        "  3. run `pulumi up` again\n"
        "Another directory or name: docker-registry:storage.cachePath, storage.cacheVolume."
    )
