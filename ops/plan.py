"""`ops plan`: what `pulumi up` would change, with Nomad's own diff of each job."""

import re
from collections.abc import Iterator
from typing import Annotated

import typer

from checks.servers import Servers
from ops.job_changes import JobChange, job_changes
from ops.options import StackName
from ops.preview import Resource, preview
from ops.stack import Stack
from ops.terminal import say

Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown, as for a pull request.")]


def plan(stack: StackName = None, markdown: Markdown = False) -> None:
    """Show each resource that `pulumi up` would touch, and how the jobs differ from those that run.

    Exit 1 if the settings are wrong or a server refuses.
    """
    chosen = Stack.selected(stack)
    settings = chosen.settings()
    found = preview(chosen, settings, chosen.deployed())
    changing = [each for each in found if each.operation != "same"]
    jobs = {each.label: each.wanted_job for each in changing}
    with Servers(settings.providers) as servers:
        changes = list(job_changes(servers.nomad, jobs))
    for line in as_markdown(chosen.name, changing, changes) if markdown else as_text(changing, changes):
        say(line)


def as_text(changing: list[Resource], changes: list[JobChange]) -> Iterator[str]:
    """Put a plan into lines."""
    if not changing:
        yield "nothing changes"
    for each in changing:
        yield f"{each.operation:<8}{_words(each)}"
    for change in changes:
        yield ""
        yield from change.lines


def as_markdown(stack: str, changing: list[Resource], changes: list[JobChange]) -> Iterator[str]:
    """Put a plan into Markdown for a comment."""
    yield f"### Stack {_code(stack)}"
    yield ""
    if not changing:
        yield "Nothing changes."
        return
    yield from (f"- **{each.operation}** {_code(_words(each))}" for each in changing)
    for change in changes:
        fence = "`" * max(3, 1 + _backticks("\n".join(change.lines)))
        yield ""
        yield from (f"{fence}diff", *change.lines, fence)


def _code(text: str) -> str:
    """Quote a text as code, which nothing in it ends (CommonMark, "Code spans")."""
    quote = "`" * (1 + _backticks(text))
    return f"{quote}{text}{quote}" if len(quote) == 1 else f"{quote} {text} {quote}"


def _backticks(text: str) -> int:
    """Count the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)


def _words(each: Resource) -> str:
    return each.label + (f": {', '.join(each.changed)}" if each.changed else "")
