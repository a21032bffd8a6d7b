"""The benches, put together."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import deploy, doctor, memory, retention, scale, transfer

BENCHES: dict[str, Callable[[], Table]] = {
    "deploy": deploy.bench,
    "transfer": transfer.bench,
    "mirrors": scale.bench_mirrors,
    "users": scale.bench_users,
    "retention": retention.bench,
    "doctor": doctor.bench,
    "memory": memory.bench,
}


def _known(names: list[str] | None) -> list[str] | None:
    if unknown := set(names or ()) - set(BENCHES):
        raise typer.BadParameter(f"no bench {', '.join(sorted(unknown))}: take {' or '.join(BENCHES)}")
    return names


Names = Annotated[
    list[str] | None, typer.Argument(callback=_known, help="Which; all if none is named.", metavar="NAME")
]


def main(names: Names = None) -> None:
    """Measure, and print a table for each bench."""
    console = Console()
    for name in names or BENCHES:
        console.print(BENCHES[name]())


if __name__ == "__main__":
    typer.run(main)
