"""`ops schema`: what a stack file may say."""

from config.settings import stack_schema
from ops.terminal import say_json


def schema() -> None:
    """Print the JSON Schema of a stack file, for editors."""
    say_json(stack_schema())
