"""`ops schema`: what a stack file may say."""

import json

import typer

from config.settings import stack_schema


def schema() -> None:
    """Print the JSON Schema of a stack file, for editors."""
    typer.echo(json.dumps(stack_schema(), indent=2))
