"""`ops backup`: take, list and try out backups."""

import json
from datetime import datetime
from typing import Any

import typer

from checks.errors import CheckError
from checks.job_run import JobRun
from checks.servers import Server, Servers
from config.settings import Settings
from jobs.backup import BACKUP, DRILL, SNAPSHOTS
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import say_json, say_lines, say_table

app = typer.Typer(no_args_is_help=True, help="Take, list and try out backups of the images.")


@app.command()
def now(stack: StackName = None) -> None:
    """Back up now, not at the next scheduled run. The registry takes no pushes meanwhile."""
    _run_periodic(stack, "backup", BACKUP)


@app.command()
def verify(stack: StackName = None) -> None:
    """Read the newest snapshot back and check every image in it, as the drill does; exit 1 if it is bad."""
    _run_periodic(stack, "drill", DRILL)


@app.command("list")
def list_(stack: StackName = None, as_json: AsJson = False) -> None:
    """List the snapshots, the newest last."""
    settings = Stack.selected(stack).settings()
    require_backup(settings)
    with Servers(settings.providers) as servers:
        snapshots = ask_backups(servers.nomad, settings)
    if as_json:
        say_json(snapshots)
        return
    rows = (
        (snapshot["id"][:8], local_time(snapshot["time"]), ", ".join(snapshot["tags"]) or "backup")
        for snapshot in snapshots
    )
    say_table(("snapshot", "taken", "made by"), rows)


def require_backup(settings: Settings) -> None:
    """Raise CheckError if the stack has no backups."""
    if settings.maintenance.backup is None:
        raise CheckError(
            f"stack {settings.stack} has no docker-registry:maintenance.backup: set it (docs/backup.md) and "
            "run `pulumi up`"
        )


def ask_backups(nomad: Server, settings: Settings, **meta: str) -> Any:
    """Run the job that tells of the backups; the document that it prints. Raises CheckError."""
    job = settings.maintenance_job("snapshots")
    run = JobRun.dispatched(nomad, job, settings.registry.namespace, meta)
    try:
        return json.loads(run.answer(SNAPSHOTS))
    except ValueError:
        raise CheckError(
            f"Nomad at {nomad.address}: the log of job {run.job} ends too early: run this again"
        ) from None


def local_time(text: str) -> str:
    """Write a time of restic's in local time."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _run_periodic(stack: str | None, kind: str, task: str) -> None:
    settings = Stack.selected(stack).settings()
    require_backup(settings)
    with Servers(settings.providers) as servers:
        run = JobRun.forced(servers.nomad, settings.maintenance_job(kind), settings.registry.namespace)
        run.output(task, said=say_lines)
