"""`ops gc`: the garbage collection, now instead of when it is due."""

from typing import Annotated

import typer

from checks.collection import collect
from checks.servers import Servers
from jobs.garbage_collection import TASK
from ops.options import StackName
from ops.stack import Stack
from ops.terminal import confirm, say


def gc(
    stack: StackName = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what a run would free.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before retention removes tags.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show all that the collection itself writes.")
    ] = False,
) -> None:
    """Remove what no image uses any more, and say what that freed.

    Meanwhile the registry is read-only: pulls go on, and pushes get 405. It restarts twice, which takes a
    second or two each. With --dry-run it goes on as ever. If the stack sets maintenance.retention.apply, old
    tags go first: `ops retention plan` shows which, and --dry-run does not count what they free.
    """
    settings = Stack.selected(stack).settings()
    retention = settings.maintenance.retention
    if retention and retention.apply:
        if dry_run:
            say("not counted: what retention removes first (`python -m ops retention plan`)", err=True)
        elif not yes:
            confirm("retention removes old tags first; go on?")

    def said(task: str, line: str) -> None:
        # A line of JSON says once more what the one before it says in words.
        if (task != TASK or follow) and not line.startswith("{"):
            say(f"{task:<20}{line}" if follow else line)

    with Servers(settings.providers) as servers:
        collect(servers.nomad, settings, said, dry_run=dry_run)
