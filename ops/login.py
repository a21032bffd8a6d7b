"""`ops login` and `ops logout`: a token of a grant, signed by Vault, in docker's configuration."""

import base64
import json
import os
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Annotated, TextIO

import typer

from checks.docker_login import docker_config_file
from checks.errors import AnswerError, CheckError
from checks.servers import Server
from ops.client import Client
from ops.docker_config import remove_tokens, store_token
from ops.options import StackName
from ops.stack import Stack
from ops.terminal import say, wrong_usage
from ops.vault_login import (
    LoginError,
    Method,
    log_in_with_browser,
    log_in_with_jwt,
    log_in_with_password,
    present_token,
)

_NO_LOGIN = (
    "there is no token for Vault in VAULT_TOKEN or ~/.vault-token: log in to Vault, or give --method "
    "userpass, oidc or jwt"
)

GrantName = Annotated[
    str, typer.Argument(metavar="GRANT", help="A grant of auth.grants.", show_default=False)
]
LoginMethod = Annotated[
    Method | None,
    typer.Option(
        help="How to log in to Vault; by default the token in VAULT_TOKEN or ~/.vault-token, "
        "else oidc if the stack has auth.oidc.",
        show_default=False,
    ),
]
Username = Annotated[str | None, typer.Option(help="For method userpass.", show_default=False)]
Role = Annotated[
    str | None, typer.Option(help="Role of the auth mount, for oidc and jwt.", show_default=False)
]
Mount = Annotated[
    str | None,
    typer.Option(help="Auth mount; by default the method's name, for oidc the stack's.", show_default=False),
]
JwtFile = Annotated[
    typer.FileText | None,
    typer.Option(help="For method jwt: file with the JWT; by default standard input.", show_default=False),
]
Print = Annotated[
    bool, typer.Option("--print", help="Print the token and leave docker's configuration alone.")
]


def login(  # noqa: PLR0917 - typer gives each option by its name
    grant: GrantName,
    stack: StackName = None,
    method: LoginMethod = None,
    username: Username = None,
    role: Role = None,
    mount: Mount = None,
    jwt_file: JwtFile = None,
    print_: Print = False,
) -> None:
    """Log docker and crane in with a token of a grant; it needs no passphrase and no access to the state."""
    client = Client.read(Stack.selected(stack))
    _check_grant(client, grant)
    present = present_token(client.vault) if method in (None, Method.TOKEN) else None
    if present:
        token = signed_token(client, grant, present)
    else:
        made = _log_in(client, method, username=username, role=role, mount=mount, jwt=jwt_file or sys.stdin)
        try:
            token = signed_token(client, grant, made)
        finally:
            _end(client, made)
    if print_:
        say(token)
    else:
        file = docker_config_file(os.environ)
        store_token(file, client.names.client_addresses, token)
        say(f"{file}: logged in to {' and '.join(client.names.client_addresses)}", err=True)
    say(f"the token of {grant} is valid until {end_of(token):%Y-%m-%d %H:%M:%S %Z}", err=True)


def logout(stack: StackName = None) -> None:
    """Remove the stack's tokens from docker's configuration; passwords and other registries stay."""
    client = Client.read(Stack.selected(stack))
    file = docker_config_file(os.environ)
    removed = remove_tokens(file, client.names.client_addresses)
    if removed:
        say(f"{file}: logged out of {' and '.join(removed)}", err=True)
    else:
        say(f"{file} has no token for {' or '.join(client.names.client_addresses)}", err=True)


def signed_token(client: Client, grant: str, vault_token: str) -> str:
    """Let Vault sign a token of the grant. Raises LoginError with the reason if it does not."""
    with closing(Server(client.vault, vault_token)) as vault:
        try:
            path = f"/v1/identity/oidc/token/{client.names.grant_role(grant)}"
            return str(vault.get(path)["data"]["token"])
        except AnswerError as error:
            raise LoginError(_reason(client, grant, vault, error)) from None


def end_of(token: str) -> datetime:
    """Tell when a token ends, in local time."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return datetime.fromtimestamp(claims["exp"], UTC).astimezone()


def _check_grant(client: Client, grant: str) -> None:
    if client.auth_mode != "vault":
        raise LoginError(
            f"stack {client.stack} has auth.mode {client.auth_mode}, and grants are for mode vault; "
            f"log in by `docker login {client.names.client_addresses[-1]}`"
        )
    if grant not in client.grants:
        known = f"known are {', '.join(client.grants)}" if client.grants else "it has none"
        raise wrong_usage(f"{grant} is no grant of stack {client.stack}; {known}")


def _log_in(
    client: Client,
    method: Method | None,
    *,
    username: str | None,
    role: str | None,
    mount: str | None,
    jwt: TextIO,
) -> str:
    names = client.names
    with closing(Server(client.vault, None)) as vault:
        match method or (Method.OIDC if client.has_oidc else None):
            case Method.USERPASS:
                return log_in_with_password(vault, mount or "userpass", _required(username))
            case Method.JWT:
                return log_in_with_jwt(vault, mount or "jwt", role, jwt.read())
            case Method.OIDC:
                return log_in_with_browser(vault, mount or names.oidc_mount, role or names.registry.name)
            case _:
                raise LoginError(_NO_LOGIN)


def _required(username: str | None) -> str:
    if not username:
        raise wrong_usage("method userpass needs --username")
    return username


def _reason(client: Client, grant: str, vault: Server, error: AnswerError) -> str:
    """Put Vault's refusal into words: it says little, so that a stranger learns nothing."""
    refusal = f"Vault at {vault.address} gives no token of {grant}: {error.reason}"
    if "no entity" in error.reason:
        return (
            f"{refusal}. A root token and one of `vault token create` belong to nobody; log in as a person "
            "or a machine: --method userpass, oidc or jwt"
        )
    if error.status == 400 and "not found" in error.reason:
        return f"{refusal}. The grant is not deployed yet: `pulumi up`"
    if error.status != 403:
        return refusal
    if not _accepted(vault):
        return (
            f"Vault at {vault.address} does not accept the token in VAULT_TOKEN or ~/.vault-token (wrong, or "
            "ended): log in to Vault anew, or give --method"
        )
    groups = sorted(group for group, grants in client.groups.items() if grant in grants)
    member = f"become a member of {' or '.join(groups)}, or " if groups else ""
    return (
        f"{refusal}. You do not have that grant: {member}let Vault's administrator give you the policy "
        f"{client.names.grant_role(grant)}"
    )


def _accepted(vault: Server) -> bool:
    """Whether Vault knows the token at all: every one may look at itself, by the policy `default`."""
    try:
        vault.get("/v1/auth/token/lookup-self")
    except AnswerError as error:
        return error.status != 403
    return True


def _end(client: Client, vault_token: str) -> None:
    """End a Vault token that was made for this log-in; what Vault signed with it stays valid."""
    with closing(Server(client.vault, vault_token)) as vault, suppress(CheckError):
        vault.post("/v1/auth/token/revoke-self", {})
