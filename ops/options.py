"""Options that several commands take."""

from typing import Annotated

import typer

StackName = Annotated[
    str | None,
    typer.Option("--stack", envvar="PULUMI_STACK", help="The stack; by default the selected one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
