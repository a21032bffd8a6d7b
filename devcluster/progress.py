"""What the commands tell while they work: a spinner on a terminal, plain lines in a pipe."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line as it is."""
    console.print(text, markup=False)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show that `text` is being done, and afterwards how long it took."""
    started = time.monotonic()
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(text, total=None)
            yield
    else:
        say(f"{text} …")
        yield
    say(f"{text}: done in {time.monotonic() - started:.0f} s")
