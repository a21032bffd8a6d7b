"""`ops upgrade-check`: whether the stack is ready for another image of the registry."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from checks.servers import Servers
from checks.upgrade import Upgrade
from checks.upgrade import check_upgrade as ask
from config.settings import Settings
from jobs.tasks.store_size import readable
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import Colored, Line, say, say_json

Image = Annotated[str, typer.Argument(help="The image to change to.")]


def upgrade_check(image: Image = "registry:3", stack: StackName = None, as_json: AsJson = False) -> None:
    """Tell what stands in the way of another image: settings, images, damage. Exit 1 if anything does.

    A job reads the store, and goes again. Nothing is changed, and the registry works on.
    """
    chosen = Stack.selected(stack)
    config = chosen.config()
    settings = Settings.read(chosen.name, config, os.environ)
    with Servers(settings.providers) as servers:
        found = ask(servers.nomad, settings, config, os.environ, image)
    if as_json:
        say_json({"ready": found.ready, **asdict(found)})
    else:
        for line in lines(found):
            say(line)
    if not found.ready:
        raise typer.Exit(1)


def lines(found: Upgrade) -> Iterator[Line]:
    """Put what was found into words."""
    yield f"from {found.image_now} ({found.version_now}.x) to {found.image} ({found.version}.x)"
    if found.store:
        counts = f"repositories {found.store['repositories']}, manifests {found.store['manifests']}"
        yield f"store: {counts}, free {readable(found.store['free'])}"
    else:
        yield "store: in a bucket, which is not read here"
    for finding in found.findings:
        word, color = ("stands in the way", "red") if finding.blocks else ("to know", "yellow")
        yield Colored(word, color), f": {finding.where}: {finding.what}"
    if any(finding.blocks and finding.where == "store" for finding in found.findings):
        yield "how to mend the store: docs/operations.md, Mending the store"
    if found.ready:
        yield Colored("nothing stands in the way", "green")
        if found.image != found.image_now:
            yield f"  pulumi config set --path docker-registry:registry.image {found.image}"
            yield "  pulumi up"
