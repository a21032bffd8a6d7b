"""`ops users`: who may push and pull, in auth mode htpasswd."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated

import bcrypt
import typer
from pydantic import TypeAdapter, ValidationError

from config.contradictions import NAMESPACE
from config.sections.auth import Username
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import ask_secret, say, say_json, wrong_usage

app = typer.Typer(no_args_is_help=True, help="Set, list and remove the users of the registry.")

Name = Annotated[str, typer.Argument(help="Name of the user.", show_default=False)]

_SHORTEST = 8  # characters, as NIST SP 800-63B asks of a password
_LONGEST = 72  # bytes; bcrypt ignores what comes after
# The registry checks the password at every request: 10 costs it some 60 ms, and each step more doubles that.
BCRYPT_COST = 10


@app.command("set")
def set_(name: Name, stack: StackName = None) -> None:
    """Set a user's password, asked for twice or read as one line from standard input."""
    _check_name(name)
    chosen = Stack.selected(stack)
    password = _read_password(name)
    chosen.set_secret(_path(name), bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_COST)).decode())
    say(f"{name} is set in stack {chosen.name}; `pulumi up` makes it count")


@app.command("list")
def list_(stack: StackName = None, as_json: AsJson = False) -> None:
    """List the names of the users."""
    names = sorted(_users(Stack.selected(stack)))
    if as_json:
        say_json(names)
        return
    for name in names:
        say(name)


@app.command()
def remove(name: Name, stack: StackName = None) -> None:
    """Remove a user."""
    chosen = Stack.selected(stack)
    users = _users(chosen)
    if name not in users:
        known = f"known are {', '.join(sorted(users))}" if users else "there are no users"
        raise wrong_usage(f"{name} is not a user of stack {chosen.name}; {known}")
    chosen.remove(_path(name))
    say(f"{name} is removed from stack {chosen.name}; `pulumi up` makes it count")


def _users(stack: Stack) -> Mapping[str, object]:
    auth = json.loads(stack.config().get(f"{NAMESPACE}:auth") or "{}")
    return auth.get("users") or {}


def _path(name: str) -> str:
    escaped = name.replace('"', '\\"')
    return f'{NAMESPACE}:auth.users["{escaped}"]'  # quoted: a dot in a name separates no keys


def _check_name(name: str) -> None:
    try:
        TypeAdapter(Username).validate_python(name)
    except ValidationError as error:
        raise wrong_usage(str(error.errors()[0]["ctx"]["error"])) from None


def _read_password(name: str) -> bytes:
    if sys.stdin.isatty():
        text = ask_secret(f"Password of {name}", twice=True)
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    password: bytes = text.encode()
    if len(text) < _SHORTEST:
        raise wrong_usage(f"the password is too short: give at least {_SHORTEST} characters")
    if len(password) > _LONGEST:
        raise wrong_usage(f"the password is too long: bcrypt takes {_LONGEST} bytes")
    return password
