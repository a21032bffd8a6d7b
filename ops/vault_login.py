"""The ways to a Vault token of one's own: one that is there, a password, the browser, or a JWT."""

import secrets
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import parse_qs, quote, urlsplit

from checks.errors import AnswerError
from checks.servers import Server, stored_vault_token
from config.names import OIDC_CALLBACK
from config.providers import Endpoint
from ops.oidc_callback import Callback, CallbackError
from ops.terminal import ask_secret, say_lines

_PATIENCE = 300  # seconds for a person to log in in the browser


class LoginError(Exception):
    """Vault gives no token; the message says why and what to do."""


class Method(StrEnum):
    """How to log in to Vault."""

    TOKEN = "token"  # noqa: S105 - the method's name
    USERPASS = "userpass"
    OIDC = "oidc"
    JWT = "jwt"


def present_token(vault: Endpoint) -> str | None:
    """Give the token in VAULT_TOKEN, else the one that `vault login` left."""
    return vault.token or stored_vault_token()


def log_in_with_password(vault: Server, mount: str, username: str) -> str:
    """Log in by method userpass; the password is asked for, or read as one line from standard input."""
    if sys.stdin.isatty():
        password = ask_secret(f"Password of {username} at Vault", err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    path = f"/v1/auth/{mount}/login/{quote(username, safe='')}"
    try:
        return str(vault.post(path, {"password": password})["auth"]["client_token"])
    except AnswerError as error:
        raise _refused(vault, mount, error) from None


def log_in_with_jwt(vault: Server, mount: str, role: str | None, jwt: str) -> str:
    """Log in by method jwt; without a role Vault takes the mount's default one."""
    body = {"jwt": jwt.strip(), **({"role": role} if role else {})}
    try:
        return str(vault.post(f"/v1/auth/{mount}/login", body)["auth"]["client_token"])
    except AnswerError as error:
        raise _refused(vault, mount, error) from None


def log_in_with_browser(vault: Server, mount: str, role: str) -> str:
    """Log in by method oidc: the person logs in at the provider, in the browser."""
    nonce = secrets.token_urlsafe(16)  # who began the log-in ends it, nobody who saw the code on the way
    request = {"role": role, "redirect_uri": OIDC_CALLBACK, "client_nonce": nonce}
    try:
        with Callback() as callback:
            url = str(vault.post(f"/v1/auth/{mount}/oidc/auth_url", request)["data"]["auth_url"])
            state = _state(vault, mount, role, url)
            _open(url)
            code = callback.wait(state, _PATIENCE)
        answer: Mapping[str, str] = {"state": state, "code": code, "client_nonce": nonce}
        return str(vault.get(f"/v1/auth/{mount}/oidc/callback", **answer)["auth"]["client_token"])
    except AnswerError as error:
        raise _refused(vault, mount, error) from None
    except CallbackError as error:
        raise LoginError(str(error)) from None


def _state(vault: Server, mount: str, role: str, url: str) -> str:
    states = parse_qs(urlsplit(url).query).get("state")
    if not states:  # Vault's answer is empty where it would give a reason away
        raise LoginError(
            f"Vault at {vault.address} begins no log-in by role {role} of auth/{mount}: the role is not "
            f"there, or does not allow {OIDC_CALLBACK}, or Vault does not reach the provider"
        )
    return states[0]


def _open(url: str) -> None:
    say_lines(f"Log in in the browser. If none opens, open this page:\n\n{url}\n", err=True)
    # A process of its own: a browser may say what it likes, and end when it likes.
    quiet = subprocess.DEVNULL
    subprocess.Popen([sys.executable, "-m", "webbrowser", url], stdin=quiet, stdout=quiet, stderr=quiet)


def _refused(vault: Server, mount: str, error: AnswerError) -> LoginError:
    message = f"Vault at {vault.address} refuses the log-in at auth/{mount}: {error.reason}"
    if '"groups" claim' in error.reason:
        message += "; the provider names no group of yours: you are in none, or it has no scope `groups`"
    elif error.status in (403, 404):  # so Vault calls it when there is no such mount
        message += "; if there is no such mount, --mount names another"
    return LoginError(message)
