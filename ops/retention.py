"""`ops retention`: which tags the rules let go."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from checks.retention import Run
from checks.retention import apply as ask_to_apply
from checks.retention import plan as ask
from checks.servers import Servers
from jobs.tasks.store_size import readable
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import confirm, say, say_json, say_table

app = typer.Typer(no_args_is_help=True, help="Show and remove the tags that no rule of the stack keeps.")

Yes = Annotated[bool, typer.Option("--yes", help="Remove without asking.")]
_SHORT = len("sha256:") + 12  # characters of a digest that tell it from others


@app.command()
def plan(stack: StackName = None, as_json: AsJson = False) -> None:
    """Show what goes and why; removes nothing, and the registry takes pushes meanwhile."""
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        found = ask(servers.nomad, settings)
    if as_json:
        say_json(asdict(found))
        return
    _show(found)
    if goes(found):
        say(f"{counts(found)} go: `python -m ops retention apply` removes them")
    else:
        say("nothing goes")


@app.command()
def apply(stack: StackName = None, yes: Yes = False) -> None:
    """Show what goes, ask, and remove just that. The registry is read-only meanwhile, and restarts twice.

    The next garbage collection frees the disk: `python -m ops gc`.
    """
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        if yes:
            done = ask_to_apply(servers.nomad, settings, None)
            _show(done)
        else:
            shown = ask(servers.nomad, settings)
            _show(shown)
            if not goes(shown):
                say("nothing goes")
                return
            confirm(f"Remove {counts(shown)} for good?")
            done = ask_to_apply(servers.nomad, settings, shown.summary)
    say(f"removed {counts(done)}; the next garbage collection frees the disk (`python -m ops gc`)")


def _show(found: Run) -> None:
    say_table(("repository", "what", "manifest", "pushed", "why"), rows(found))
    for each in found.repositories:
        if reason := each.get("leftAlone"):
            say(f"{each['repository']} is left alone: {reason}")


def rows(found: Run) -> Iterator[tuple[str, str, str, str, str]]:
    """Put a run into rows: a tag each, and the manifests that go without one."""
    for each in found.repositories:
        name = each["repository"]
        for tag in each.get("tags", ()):
            yield name, tag["name"], (tag["digest"] or "")[:_SHORT], _day(tag["pushed"]), tag["why"]
        named = {tag["digest"] for tag in each.get("tags", ())}
        for manifest in each.get("manifests", ()):
            if manifest["digest"] not in named:
                yield name, "", manifest["digest"][:_SHORT], "", manifest["why"]


def goes(found: Run) -> bool:
    """Tell whether a run has anything to remove."""
    return bool(found.summary["tags"] or found.summary["manifests"])


def counts(found: Run) -> str:
    """Count what goes, in words."""
    summary = found.summary
    tags, manifests = (
        f"{summary[key]} {key.removesuffix('s') if summary[key] == 1 else key}"
        for key in ("tags", "manifests")
    )
    return f"{tags} and {manifests} ({readable(summary['bytes'])})"


def _day(pushed: float) -> str:
    return datetime.fromtimestamp(pushed, UTC).strftime("%Y-%m-%d %H:%M") if pushed else ""
