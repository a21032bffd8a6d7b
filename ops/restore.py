"""`ops restore`: put a snapshot in the place of what the registry has."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from checks.job_run import JobRun
from checks.servers import Servers
from jobs.backup import RESTORE
from ops.backup import ask_backups, local_time, require_backup
from ops.options import StackName
from ops.stack import Stack
from ops.terminal import confirm, say, say_lines

_SHOWN = 10  # tags of one kind that are named

SnapshotName = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT", help="Beginning of its name in `ops backup list`, or latest.", show_default=False
    ),
]
Repository = Annotated[
    str | None,
    typer.Option(help="Restore this repository alone, as ci/app; by default everything.", show_default=False),
]
AcceptDamage = Annotated[
    bool, typer.Option("--accept-damage", help="Restore a damaged snapshot too, as far as it goes.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def restore(
    snapshot: SnapshotName,
    stack: StackName = None,
    repository: Repository = None,
    accept_damage: AcceptDamage = False,
    yes: Yes = False,
) -> None:
    """Restore images from a backup: show what will change, ask, and do it.

    The registry takes no pushes meanwhile. A restore that fails leaves the images as they were.
    """
    settings = Stack.selected(stack).settings()
    require_backup(settings)
    meta = {"snapshot": snapshot, **({"repository": repository} if repository else {})}
    with Servers(settings.providers) as servers:
        found = ask_backups(servers.nomad, settings, **meta)
        for line in lines(found, repository):
            say(line)
        if not yes:
            confirm("Restore it?")
        chosen = {**meta, "snapshot": found["snapshot"]["id"]}  # `latest` may be another one by now
        if accept_damage:
            chosen["accept_damage"] = "true"
        job, namespace = settings.maintenance_job("restore"), settings.registry.namespace
        JobRun.dispatched(servers.nomad, job, namespace, chosen).output(RESTORE, said=say_lines)


def lines(found: Mapping[str, Any], repository: str | None) -> Iterator[str]:
    """Put into words what a restore changes."""
    snapshot = found["snapshot"]
    what = f"repository {repository}" if repository else "everything"
    yield f"restores {what} from snapshot {snapshot['id'][:8]} of {local_time(snapshot['time'])}"
    if not found["repositories"]:
        yield "  all tags stay as they are; what is lost or damaged of their images comes back"
    for name, change in found["repositories"].items():
        yield f"  {name}"
        for kind, words in (("back", "come back"), ("gone", "go"), ("changed", "become other images")):
            if tags := change[kind]:
                more = f" and {len(tags) - _SHOWN} more" if len(tags) > _SHOWN else ""
                yield f"    {words}: {', '.join(tags[:_SHOWN])}{more}"
