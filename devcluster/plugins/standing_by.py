"""The fork server of the local plugins, as one of the cluster's servers."""

import hashlib
from pathlib import Path

from devcluster.instance import Instance
from devcluster.plugins import fork_server
from devcluster.plugins.install import PLUGINS, any_local
from devcluster.servers import Server


def servers(instance: Instance) -> list[Server]:
    """Just one, or none where the published plugins are installed."""
    home = instance.pulumi_home
    if not any_local(home):
        return []
    return [
        Server(
            name="plugins",
            # Code that was changed is another command, so the next `up` starts it anew.
            command=(*fork_server.command(str(home), PLUGINS), _code()),
            files={},
            healthy=lambda: fork_server.stands_by(str(home)),
        )
    ]


def _code() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
