"""`ops report`: one page about the store, for a browser; it loads nothing from elsewhere."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jinja2
import typer

from checks.errors import CheckError
from checks.servers import Servers
from checks.status import status
from checks.store_reading import read_store
from checks.visible import visible
from jobs.retention import rules
from jobs.tasks.store_size import readable
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import say, say_json

Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to this file.")]

_TEMPLATE = "report.html.j2"
_WIDTH, _HEIGHT = 720, 160  # of the chart, in its own units
_DAY_SECONDS = 86_400


def report(html: Html = None, stack: StackName = None, as_json: AsJson = False) -> None:
    """Tell what is in the store: repositories, tags, sizes, what is shared, growth, what retention lets go.

    A job reads the store, and goes again. Nothing is changed, and the registry works on.
    """
    settings = Stack.selected(stack).settings()
    if not settings.on_volume:
        raise CheckError(
            f"the images of stack {settings.stack} are in a bucket, which is not read here: "
            "ask the storage for its size"
        )
    wanted = rules(settings) if settings.maintenance.retention else []
    with Servers(settings.providers) as servers:
        healthy = status(servers, settings).healthy
        repositories, summary = read_store(servers.nomad, settings, "report", {"RULES": json.dumps(wanted)})
    if html:
        html.write_text(page(settings.registry_url, healthy, repositories, summary))
        say(f"wrote {html}")
    elif as_json:
        say_json({"healthy": healthy, "repositories": repositories, **summary})
    else:
        say(words(repositories, summary))


def words(repositories: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    """Put the totals into a line."""
    tags = sum(len(each.get("tags", ())) for each in repositories)
    return (
        f"repositories {len(repositories)}, tags {tags}, blobs {summary['blobs']}, "
        f"{readable(summary['bytes'])} of which {readable(summary['bytes'] - summary['used'])} is used by no "
        f"image; free {readable(summary['free'])} of {readable(summary['total'])}"
    )


def page(
    url: str, healthy: bool, repositories: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]
) -> str:
    """Make the page; every text in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,  # markup is a subclass
    )
    environment.filters |= {"size": readable, "day": _day}
    whole = [each for each in repositories if "damaged" not in each]
    return environment.get_template(_TEMPLATE).render(
        url=url,
        healthy=healthy,
        at=datetime.fromtimestamp(summary["at"], UTC).strftime("%Y-%m-%d %H:%M UTC"),
        repositories=sorted(whole, key=lambda each: (-each["bytes"], each["repository"])),
        damaged=[each for each in repositories if "damaged" in each],
        largest=max((each["bytes"] for each in whole), default=0) or 1,
        tags=sum(len(each["tags"]) for each in whole),
        leaving={
            key: sum(each["leaving"][key] for each in whole if each["leaving"]) for key in ("tags", "bytes")
        },
        summary=summary,
        chart={"width": _WIDTH, "height": _HEIGHT, "line": growth_line(summary["growth"])},
    )


def growth_line(growth: Sequence[tuple[str, int]]) -> str:
    """Draw the growth as the points of a line, time to the right and bytes upwards; one day is level."""
    if not growth:
        return ""
    days = [datetime.fromisoformat(day).timestamp() / _DAY_SECONDS for day, _ in growth]
    span, top = days[-1] - days[0] or 1, growth[-1][1] or 1
    points = [
        ((day - days[0]) / span * _WIDTH, _HEIGHT - size / top * _HEIGHT)
        for day, (_, size) in zip(days, growth, strict=True)
    ]
    if len(points) == 1:
        points.append((_WIDTH, points[0][1]))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _day(pushed: float) -> str:
    return datetime.fromtimestamp(pushed, UTC).strftime("%Y-%m-%d")
