"""The one place from which commands write to a terminal and ask a person.

Much of what they tell comes from servers, and from images that anybody may have pushed. Here it is made
harmless: only our own colors reach the terminal as control sequences (checks/visible.py). A unit test fails
for a command that writes in any other way.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from checks.visible import visible, visible_lines

_PIPED = 10_000  # columns: in a pipe nothing is cut, and programs and `grep` see whole lines


@dataclass(frozen=True)
class Colored:
    """A part of a line in a color, where the terminal has colors."""

    text: str
    color: str


Part = str | Colored
Line = Part | tuple[Part, ...]


def say(line: Line, *, err: bool = False) -> None:
    """Write one line; a line feed in it is shown by its code."""
    typer.echo(written(line), err=err)


def say_lines(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write a text of several lines, in which line feeds are meant."""
    typer.echo(visible_lines(text), err=err, nl=nl)


def say_json(document: object) -> None:
    """Write JSON for programs: the exact texts, whose control characters JSON's own escapes stand for."""
    # Python writes DEL as it is, which JSON allows and a terminal may act on.
    typer.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, pad_edge: bool = False) -> None:
    """Write a table, whose cells are texts and no markup of rich's; nothing if it has no rows."""
    table = Table(*columns, box=None, pad_edge=pad_edge)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    if table.row_count:
        Console(width=None if is_terminal() else _PIPED, soft_wrap=False).print(table)


def is_terminal() -> bool:
    """Tell whether a person reads along, and not a file or a program."""
    return sys.stdout.isatty()


def written(line: Line) -> str:
    """Put a line together, with the colors of its parts."""
    parts = line if isinstance(line, tuple) else (line,)
    return "".join(
        typer.style(visible(part.text), fg=part.color) if isinstance(part, Colored) else visible(part)
        for part in parts
    )


def confirm(question: str) -> None:
    """Ask a person; end the command if the answer is not yes."""
    typer.confirm(visible(question), abort=True)


def ask_secret(question: str, *, twice: bool = False, err: bool = False) -> str:
    """Ask for a text that is not shown."""
    answer: str = typer.prompt(visible(question), hide_input=True, confirmation_prompt=twice, err=err)
    return answer


def wrong_usage(message: str) -> typer.BadParameter:
    """Make the error of an argument that cannot be, which ends a command with exit code 2."""
    return typer.BadParameter(visible(message))
