"""The commands, put together."""

import sys
import traceback

import typer

from checks.errors import CheckError
from config.problems import SettingsError
from ops import (
    backup,
    comment,
    doctor,
    drift,
    gc,
    keys,
    login,
    mirrors,
    monitoring,
    plan,
    render,
    report,
    restore,
    retention,
    scan,
    schema,
    status,
    thaw,
    trust,
    upgrade_check,
    users,
    why,
)
from ops.docker_config import DockerConfigError
from ops.stack import StackError
from ops.terminal import is_terminal, say_lines
from ops.vault_login import LoginError

app = typer.Typer(
    name="ops",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich" if is_terminal() else None,  # no frames and no wrapping in a pipe
    help="Look after the registry of a stack. Exit codes: 0 good, 1 not healthy or failed, 2 wrong usage.",
)
app.command()(status.status)
app.command()(why.why)
app.command()(doctor.doctor)
app.command()(plan.plan)
app.command()(drift.drift)
app.command()(render.render)
app.command()(comment.comment)
app.add_typer(users.app, name="users")
app.command()(login.login)
app.command()(login.logout)
app.add_typer(keys.app, name="keys")
app.command()(trust.trust)
app.command()(gc.gc)
app.command()(thaw.thaw)
app.add_typer(retention.app, name="retention")
app.add_typer(backup.app, name="backup")
app.command()(restore.restore)
app.command()(scan.scan)
app.command()(mirrors.mirrors)
app.command()(upgrade_check.upgrade_check)
app.command()(monitoring.monitoring)
app.command()(report.report)
app.command()(schema.schema)


def main() -> None:
    """Run a command; what is known to go wrong is one message and exit code 1."""
    try:
        app(prog_name="python -m ops")
    except (CheckError, DockerConfigError, LoginError, SettingsError, StackError) as error:
        say_lines(str(error), err=True)
        sys.exit(1)
    except Exception:  # a mistake of ours, whose words may be a server's
        say_lines(traceback.format_exc(), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
