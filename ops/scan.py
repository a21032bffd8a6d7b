"""`ops scan`: what the last scan of the images found."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from checks.scan import Report, kept_words, last_scan, scan_now
from checks.servers import Servers
from jobs.tasks.scan_report import SEVERITIES
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import say, say_json, say_lines, say_table


def scan(
    stack: StackName = None,
    now: Annotated[bool, typer.Option("--now", help="Scan now, and show what that finds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the last scan found in the newest images.

    Exit code 1: an image has findings at or above the threshold, or could not be scanned.
    """
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        found = scan_now(servers.nomad, settings, _say) if now else last_scan(servers.nomad, settings)
        if found is None:
            say_lines(kept_words(servers.consul, settings), err=True)
            raise typer.Exit(1)
    if as_json:
        say_json(found)
    else:
        _show(found)
    if found["summary"]["severe"] or found["summary"]["failed"]:
        raise typer.Exit(1)


def _say(lines: str) -> None:
    """Tell how far a scan is, beside what is printed in the end."""
    for line in lines.splitlines():
        told = json.loads(line)
        if "summary" not in told:
            say(f"scanned {name(told)}", err=True)


def _show(found: Report) -> None:
    say_table(("image", *SEVERITIES, "packages"), rows(found))
    for line in findings(found):
        say(line)
    say(found["summary"]["words"].splitlines()[0])


def rows(found: Report) -> Iterator[tuple[str, ...]]:
    """Put each image that could be scanned into a row."""
    for image in found["images"]:
        if "counts" in image:
            counts = (str(image["counts"][severity] or "") for severity in SEVERITIES)
            yield name(image), *counts, str(image["packages"])


def findings(found: Report) -> Iterator[str]:
    """Tell one by one what is at or above the threshold, and what could not be scanned."""
    for image in found["images"]:
        if "counts" not in image:
            yield f"{name(image)} could not be scanned: {image['problem']}"
        for each in image.get("severe", ()):
            mended = f", mended in {each['fixed']}" if each["fixed"] else ""
            what = f"{each['severity']} {each['id']} in {each['where']}{mended}: {each['title']}"
            yield f"{name(image)}: {what}"
        if more := image.get("more"):
            yield f"{name(image)}: and {more} more, which Trivy's own report has (docs/scan.md)"


def name(image: Report | dict[str, Any]) -> str:
    """Name an image as people do."""
    tag = f":{image['tag']}" if image["tag"] else ""
    return f"{image['repository']}{tag}" + (f" ({image['platform']})" if image["platform"] else "")
