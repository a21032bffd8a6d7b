"""`ops keys`: the keys by which the registry verifies Vault's tokens."""

import typer

from checks.servers import Servers
from checks.token_keys import refresh_keys
from ops.options import StackName
from ops.stack import Stack
from ops.terminal import say_lines

app = typer.Typer(no_args_is_help=True, help="Keep the keys current that verify tokens, in auth mode vault.")


@app.callback()
def _group() -> None:
    """Keep `refresh` a command of its own: typer would make a lone one the group itself."""


@app.command()
def refresh(stack: StackName = None) -> None:
    """Fetch Vault's keys now, not at the daily run.

    The registry restarts only if one changed, as soon as Nomad looks at them again: within 5 minutes.
    """
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        say_lines(refresh_keys(servers.nomad, settings) or "done")  # a token may lack the right to read logs
