"""Whether Nomad's clients offer a place for the file by which they pull private images."""

from checks.errors import CheckError
from checks.servers import Server
from checks.volume import offers, require_writable
from config.settings import Settings

_EXAMPLE = "/opt/nomad/registry_auth"


def require_pull_volume(nomad: Server, settings: Settings) -> None:
    """Raise CheckError, with what to do on each client, unless at least one offers the volume for writing."""
    nodes = settings.auth.nodes
    assert nodes is not None  # noqa: S101 - for the type checker; asked only with auth.nodes
    found = offers(nomad, nodes.volume)
    if not found:
        raise CheckError(
            f"no Nomad client offers the volume {nodes.volume} of docker-registry:auth.nodes.\n"
            "On each client that is to pull private images, as root:\n"
            f"  1. mkdir -p -m 700 {_EXAMPLE} && echo '{{}}' > {_EXAMPLE}/config.json\n"
            "     (with the file missing Nomad would refuse every pull)\n"
            "  2. add this to the Nomad client's configuration:\n\n"
            "       client {\n"
            f'         host_volume "{nodes.volume}" {{\n'
            f'           path      = "{_EXAMPLE}"\n'
            "           read_only = false\n"
            "         }\n"
            "       }\n"
            '       plugin "docker" {\n'
            "         config {\n"
            f'           auth {{ config = "{_EXAMPLE}/config.json" }}\n'
            "         }\n"
            "       }\n\n"
            "  3. restart Nomad there (the running jobs go on): systemctl restart nomad\n"
            "  4. run `pulumi up` again"
        )
    require_writable(found, nodes.volume)
