"""`ops doctor`: every failure that is known, looked for."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from checks.doctor.examination import Examined, examine
from checks.doctor.facts import Facts
from checks.servers import Servers
from config.sections.mirrors import bytes_of
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import Colored, Line, say, say_json, wrong_usage

Write = Annotated[
    bool,
    typer.Option("--write", help="Also push a tiny image, pull it and delete it, by your docker log-in."),
]


def _size(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise wrong_usage(str(error).replace("{value}", repr(text))) from None


UpTo = Annotated[
    int | None,
    typer.Option(
        "--up-to",
        metavar="SIZE",
        parser=_size,
        help="With --write: also push bigger and bigger layers, up to this size, as 200MiB. They stay on the "
        "disk until the next garbage collection.",
    ),
]
TraefikApi = Annotated[
    str | None,
    typer.Option(
        "--traefik-api", envvar="TRAEFIK_API", help="URL of Traefik's API, as http://192.168.1.5:8080."
    ),
]

_COLORS = {"ok": "green", "warning": "yellow", "failure": "red", "not looked at": "bright_black"}


def doctor(
    stack: StackName = None,
    write: Write = False,
    up_to: UpTo = None,
    traefik_api: TraefikApi = None,
    as_json: AsJson = False,
) -> None:
    """Look for every failure that is known, and name what mends it; exit 1 if there is one.

    Nothing is changed, unless --write is given. docs/troubleshooting.md lists the checks.
    """
    if up_to and not write:
        raise wrong_usage("--up-to is for --write: give both")
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        facts = Facts(
            settings=settings,
            servers=servers,
            env=os.environ,
            traefik_api=traefik_api,
            write=write,
            write_up_to=up_to or 0,
        )
        found = examine(facts)
    if as_json:
        say_json([{"id": each.id, **asdict(each.finding)} for each in found])
    else:
        for line in lines(found):
            say(line)
    if any(each.finding.state == "failure" for each in found):
        raise typer.Exit(1)


def lines(found: Sequence[Examined]) -> Iterator[Line]:
    """Put the findings into words; a fix is below its finding, ready to be copied."""
    widest = max(len(each.id) for each in found)
    for each in found:
        state = Colored(f"{each.finding.state:<13}", _COLORS[each.finding.state])
        first, *more = each.finding.what.splitlines() or [""]
        yield state, f"  {each.id:<{widest}}  {first}"
        yield from (f"  {line}" for line in more)
        for line in (each.finding.fix or "").splitlines():
            yield f"    {line}"
    states = [each.finding.state for each in found]
    yield ", ".join(f"{states.count(state)} {state}" for state in _COLORS if state in states)
