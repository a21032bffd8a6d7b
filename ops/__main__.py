"""The commands, put together."""

import sys

import typer

from checks.errors import CheckError
from config.problems import SettingsError
from ops import schema, status, users, why
from ops.stack import StackError

app = typer.Typer(
    name="ops",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,  # no frames and no wrapping in a pipe
    help="Look after the registry of a stack. Exit codes: 0 good, 1 not healthy or failed, 2 wrong usage.",
)
app.command()(status.status)
app.command()(why.why)
app.add_typer(users.app, name="users")
app.command()(schema.schema)


def main() -> None:
    """Run a command; what is known to go wrong is one message and exit code 1."""
    try:
        app(prog_name="python -m ops")
    except (CheckError, SettingsError, StackError) as error:
        typer.echo(error, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
