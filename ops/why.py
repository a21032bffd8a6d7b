"""`ops why`: why the registry does not run as it should."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import typer

from checks.servers import Servers
from checks.why import Failure, Revert, Why
from checks.why import why as ask
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import Colored, Line, say, say_json


def why(stack: StackName = None, as_json: AsJson = False) -> None:
    """Tell Nomad's own reasons for the last failed deployment, and which jobs are dead; else exit 0."""
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        found = ask(servers, settings)
    if as_json:
        say_json(asdict(found))
    else:
        for line in lines(found):
            say(line)
    if not found.healthy or found.dead:
        raise typer.Exit(1)


def lines(found: Why) -> Iterator[Line]:
    """Put the reasons into words."""
    if found.healthy:
        yield Colored("healthy", "green"), f": {found.summary}"
    else:
        yield from _reasons(found)
    yield from _block(
        "Other jobs of the stack, which `pulumi up` starts:", [str(each) for each in found.dead]
    )


def _reasons(found: Why) -> Iterator[Line]:
    yield Colored("not healthy", "red"), f": {found.summary}"
    yield from _block("Nomad found no place for it:", found.placement)
    for failure in found.failures:
        yield from _failure(failure)
    yield from _block("Consul's checks:", found.checks)
    if found.reverted:
        yield from _reverted(found.reverted)


def _block(title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield title
    for text in texts:
        yield from (f"  {line}" for line in text.splitlines())


def _failure(failure: Failure) -> Iterator[str]:
    place = f"allocation {failure.allocation[:8]} on node {failure.node}"
    code = "" if failure.exit_code is None else f", exit code {failure.exit_code}"
    yield from _block(f"{place}, version {failure.version}, {failure.at}{code}:", failure.events)
    yield from _block("last lines of its stderr:", failure.stderr)
    yield from _block("last lines of its stdout:", failure.stdout)


def _reverted(revert: Revert) -> Iterator[str]:
    yield (
        f"Nomad went back: version {revert.running} runs, with the settings of an older one; "
        f"version {revert.submitted} was submitted last."
    )
    yield "When the cause is mended, `pulumi up` deploys again; if it shows no change of the job:"
    yield f"  {revert.retry}"
