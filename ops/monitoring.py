"""`ops monitoring`: the files for Prometheus, Grafana and a log collector."""

from pathlib import Path
from typing import Annotated

import typer

from monitoring.files import monitoring_files
from ops.options import StackName
from ops.stack import Stack
from ops.terminal import say

Out = Annotated[Path, typer.Option("--out", help="Directory for the files; it is made if it is missing.")]


def monitoring(out: Out, stack: StackName = None) -> None:
    """Write the stack's scrape configuration, alert rules, dashboard and log pipelines; print their paths."""
    files = monitoring_files(Stack.selected(stack).settings())
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text)
        say(str(out / name))
