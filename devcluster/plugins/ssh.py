"""Connections of a remote command."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncssh

from devcluster.plugins.errors import PluginError
from devcluster.plugins.values import Plain

_DIAL_ERRORS = 10  # tries to reach the host, `dialErrorLimit`
_DIAL_TIMEOUT = 15  # seconds for each, `perDialTimeout`
_DIAL_PAUSE = 1.0  # seconds between them


@contextlib.asynccontextmanager
async def connected(connection: Plain) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Dials as often as `dialErrorLimit` allows; a wrong host key or login is not tried again."""
    if "proxy" in connection:
        raise PluginError("connection.proxy: the local stand-in does not implement it")
    where = f"{connection['host']}:{connection.get('port', 22)}"
    limit = connection.get("dialErrorLimit", _DIAL_ERRORS)
    options = _options(connection)
    tries = 0
    while True:
        tries += 1
        try:
            dialed = await asyncssh.connect(connection["host"], **options)
            break
        except asyncssh.HostKeyNotVerifiable as error:
            raise PluginError(
                f"ssh: {where} shows another host key than connection.hostKey ({error}): if the machine was "
                f"set up anew, set the key that `ssh-keyscan {connection['host']}` prints"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise PluginError(
                f"ssh: {where} refuses {options['username']!r} ({error}): "
                "check connection.user, privateKey and password"
            ) from error
        except (OSError, asyncssh.Error, TimeoutError) as error:
            if 0 <= limit < tries:
                raise PluginError(f"ssh: cannot reach {where} after {tries} tries: {error}") from error
        await asyncio.sleep(_DIAL_PAUSE)
    async with dialed:
        yield dialed


def _options(connection: Plain) -> dict[str, Any]:
    """asyncssh's options; nothing is taken from ~/.ssh, as in the published plugin."""
    keys = None
    if "privateKey" in connection:
        try:
            keys = [
                asyncssh.import_private_key(connection["privateKey"], connection.get("privateKeyPassword"))
            ]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise PluginError(f"connection.privateKey cannot be read: {error}") from error
    known_hosts: Any = None  # not checked, as in the published plugin
    if "hostKey" in connection:
        try:
            known_hosts = ([asyncssh.import_public_key(connection["hostKey"])], [], [])
        except asyncssh.KeyImportError as error:
            message = (
                f"connection.hostKey is no public key ({error}): give '<type> <base64>' as ssh-keyscan prints"
            )
            raise PluginError(message) from error
    return {
        "port": connection.get("port", 22),
        "username": connection.get("user", "root"),
        "password": connection.get("password"),
        "client_keys": keys,
        "known_hosts": known_hosts,
        "agent_path": connection.get("agentSocketPath", os.environ.get("SSH_AUTH_SOCK")),
        "connect_timeout": connection.get("perDialTimeout", _DIAL_TIMEOUT) or None,
        "config": [],
    }
