"""How a remote command reaches a machine."""

import pulumi
import pulumi_command as command

from config.sections.host import Host


def connection(host: Host) -> command.remote.ConnectionArgs:
    """Make the connection; without a key in the settings the SSH agent is asked."""
    return command.remote.ConnectionArgs(
        host=str(host.address),
        port=host.port,
        user=host.user,
        host_key=host.host_key,  # without it the provider accepts any host
        private_key=pulumi.Output.secret(host.private_key) if host.private_key else None,
    )
