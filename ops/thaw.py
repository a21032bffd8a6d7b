"""`ops thaw`: the registry takes pushes again, whoever made it read-only."""

from typing import Annotated

import typer

from checks.freeze import Hold, held
from checks.freeze import thaw as end
from checks.servers import Servers
from ops.options import StackName
from ops.stack import Stack
from ops.terminal import confirm, say


def thaw(
    stack: StackName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a freeze that a maintenance job left, or that is not wanted any more; the registry restarts."""
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        found = held(servers.nomad, settings)
        if found is None:
            say(f"{settings.registry.name} is not frozen")
            return
        say(words(found))
        if found.owner_lives:
            say("that job still works: pushes during its work can break images", err=True)
        if not yes:
            confirm("end the freeze?")
        end(servers.nomad, settings, found)
    say(f"{settings.registry.name} takes pushes again in a few seconds")


def words(hold: Hold) -> str:
    """Say who holds the registry read-only."""
    since = f" since {hold.since}" if hold.since else ""
    if hold.owner_lives is None:
        return f"read-only{since}, by hand; `python -m ops thaw` ends it"
    if hold.owner_lives:
        return f"read-only{since} for {hold.job}, allocation {hold.owner[:8]}, which works"
    return (
        f"read-only{since} for {hold.job}, allocation {hold.owner[:8]}, which has ended: "
        "the next maintenance job takes it over, or `python -m ops thaw` ends it"
    )
