"""The Nomad volume with the images: who offers it, and whether at the path that the stack says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from checks.errors import CheckError
from checks.servers import Server
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A Nomad client that offers the volume."""

    node: str
    path: PurePosixPath
    read_only: bool


def offers(nomad: Server, volume: str) -> list[Offer]:
    """List the ready clients that offer a host volume.

    Raises CheckError, also when the token may not read nodes (Nomad ACL: `node { policy = "read" }`).
    """
    return [
        Offer(node=node["Name"], path=PurePosixPath(found["Path"]), read_only=found["ReadOnly"])
        for node in nomad.get("/v1/nodes")
        if node["Status"] == "ready" and (found := (node["HostVolumes"] or {}).get(volume))
    ]


def path_problem(nomad: Server, settings: Settings) -> str | None:
    """Say how to move the data, if a client offers the volume at another path than the stack's."""
    wanted = settings.volume_path
    for offer in offers(nomad, settings.volume):
        if offer.path != wanted:
            return _how_to_move(nomad, settings, offer)
    return None


def require_offered(nomad: Server, settings: Settings) -> None:
    """Raise CheckError, with the stanza to add, unless a client offers the volume for writing."""
    found = offers(nomad, settings.volume)
    if not found:
        raise CheckError(
            f"no Nomad client offers the volume {settings.volume}.\n"
            f"On the machine with the directory {settings.volume_path}, which `pulumi up` makes:\n"
            "  1. add this to the configuration of its Nomad client:\n\n"
            f"{indented(settings.volume_stanza)}\n"
            "  2. restart Nomad there (the running jobs go on): systemctl restart nomad\n"
            "  3. run `pulumi up` again"
        )
    require_writable(found, settings.volume)


def require_writable(found: Sequence[Offer], volume: str) -> None:
    """Raise CheckError, with what to do, if a client offers the volume read-only."""
    if read_only := [offer.node for offer in found if offer.read_only]:
        raise CheckError(
            f"the Nomad client on {', '.join(read_only)} offers the volume {volume} read-only: "
            "set `read_only = false` in its host_volume block, restart Nomad there, and run `pulumi up` again"
        )


def _how_to_move(nomad: Server, settings: Settings, offer: Offer) -> str:
    wanted, job = settings.volume_path, settings.registry
    return (
        f"the Nomad client on {offer.node} offers the volume {settings.volume} at {offer.path}, "
        f"but docker-registry:storage says {wanted}.\n"
        f"Nothing was changed, and the images stay in {offer.path}. To move them:\n"
        f"  1. nomad job stop -address={nomad.address} -namespace={job.namespace} {job.name}\n"
        f"  2. on {offer.node}, as root: mkdir -p {wanted} && cp -a {offer.path}/. {wanted}/\n"
        f"  3. let its Nomad client's configuration say:\n\n{indented(settings.volume_stanza)}\n"
        "  4. restart Nomad there: systemctl restart nomad\n"
        f"  5. run `pulumi up`; when it serves your images, remove {offer.path}\n"
        "To leave them where they are: "
        f"pulumi config set --path docker-registry:storage.path {offer.path}"
    )


def indented(stanza: str) -> str:
    """Set a stanza off from the words around it."""
    return "".join(f"       {line}\n" for line in stanza.splitlines())
