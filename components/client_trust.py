"""The registry's certificate authority, trusted by Docker on machines that are reached by SSH."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import pulumi
import pulumi_command as command

from checks.authority import certified_addresses
from components.ssh import connection
from config.sections.host import Host
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ClientTrustArgs:
    """Which machines are to trust which authority at which addresses."""

    hosts: Sequence[Host]
    addresses: Sequence[str]  # host[:port] of the registry and the mirrors, as docker takes it
    certificate: pulumi.Input[str]  # PEM

    @classmethod
    def of(cls, settings: Settings, *, certificate: pulumi.Input[str]) -> Self:
        """Take them from a stack's settings."""
        addresses = certified_addresses(settings, settings.mirrors.root)
        return cls(hosts=settings.access.trusted_hosts, addresses=addresses, certificate=certificate)


class ClientTrust(pulumi.ComponentResource):
    """Places the authority's certificate where dockerd looks for it; it needs no restart.

    Produces: a remote Command for each machine and address. Destroying it removes just that file, and the
    folder if nothing else is in it.
    """

    def __init__(self, name: str, args: ClientTrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:ClientTrust", name, None, opts)
        for host in args.hosts:
            for address in args.addresses:
                # Named after both, so that another address removes the file of the old one.
                script = pulumi.Output.from_input(args.certificate).apply(partial(place_script, address))
                command.remote.Command(
                    f"{name}-{host.address}:{host.port}-{address}",
                    connection=connection(host),
                    create=script,
                    update=script,
                    delete=remove_script(address),
                    opts=pulumi.ResourceOptions(parent=self),
                )
        self.register_outputs({"hosts": [str(host.address) for host in args.hosts]})


def place_script(address: str, certificate: str) -> str:
    """Write the script that puts the certificate there: the same however often it runs (POSIX sh)."""
    folder = shlex.quote(f"/etc/docker/certs.d/{address}")
    # Quoted, and no here-document: root runs this, and the text is what Vault answered.
    text = shlex.quote(certificate.strip())
    return f"set -eu\nmkdir -p {folder}\nprintf '%s\\n' {text} >{folder}/ca.crt\n"


def remove_script(address: str) -> str:
    """Write the script that takes it away again."""
    folder = shlex.quote(f"/etc/docker/certs.d/{address}")
    return f"rm -f {folder}/ca.crt\nrmdir {folder} 2>/dev/null || true\n"
