"""Local stand-in for the command plugin: scripts on this machine, or on another one over SSH."""

import asyncio
import contextlib
import os
import secrets
import signal
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any

import asyncssh
from pulumi_command.local.command import CommandArgs as LocalArgs
from pulumi_command.remote.command import CommandArgs as RemoteArgs

from devcluster.plugins.errors import PluginError
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.serve import main
from devcluster.plugins.values import Plain

_DIAL_ERRORS = 10  # tries to reach the host, `dialErrorLimit`
_DIAL_TIMEOUT = 15  # seconds for each, `perDialTimeout`
_DIAL_PAUSE = 1.0  # seconds between them


class _Command(Resource):
    """Runs `create`, `update` (or `create` again) and `delete`; nothing can be read back."""

    outputs = ("stdout", "stderr")
    volatile = outputs
    replacing = frozenset({"triggers"})
    tainted = frozenset(outputs)
    zero_is_unset = False

    @abstractmethod
    async def _run(
        self, script: str, properties: Plain, environment: Mapping[str, str], output: "_Output"
    ) -> int | None:
        """Runs a script with its output going to `output`; returns the exit code, None for a signal's end."""

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Its id is random, as in the published plugin."""
        return secrets.token_hex(8), await self._captured(new.get("create"), new, {}, call)

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain]:
        """The published plugin has no read either: the state is what is known."""
        return resource_id, old

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Without an `update` script, `create` runs again."""
        return await self._captured(new.get("update", new.get("create")), new, old, call)

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Nothing happens without a `delete` script."""
        await self._captured(old.get("delete"), old, old, call)

    async def _captured(self, script: str | None, properties: Plain, old: Plain, call: Call) -> Plain:
        previous = {key: old.get(key, "") for key in ("stdout", "stderr")}
        if script is None:
            return previous
        environment = dict(properties.get("environment", {}))
        if properties.get("addPreviousOutputInEnv", True):
            environment |= {f"PULUMI_COMMAND_{key.upper()}": text for key, text in previous.items() if text}
        output = _Output(call, properties.get("logging", "stdoutAndStderr"))
        code = await self._run(script, properties, environment, output)
        if code != 0:
            status = "killed by a signal" if code is None else f"exit status {code}"
            shown = "" if properties.get("logging") == "none" else output.all
            raise PluginError(f"{status}: running {script!r}:\n{shown}")
        return {"stdout": output.stdout.removesuffix("\n"), "stderr": output.stderr.removesuffix("\n")}


class _Output:
    """What a script prints: kept, and line by line in the user's terminal unless `logging` says no."""

    def __init__(self, call: Call, logging: str) -> None:
        self.stdout = self.stderr = self.all = ""
        self._call = call
        self._logging = logging.lower()

    async def take(self, stream: str, lines: AsyncIterable[Any]) -> None:
        """Reads one of the two streams to its end."""
        async for raw in lines:
            line = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
            setattr(self, stream, getattr(self, stream) + line)
            self.all += line
            if stream in self._logging:
                await self._call.log(line.rstrip("\n"))


class LocalCommand(_Command):
    """On this machine."""

    type_name = "command:local:Command"
    args = LocalArgs
    absent = frozenset({"archivePaths", "assetPaths"})

    async def _run(
        self, script: str, properties: Plain, environment: Mapping[str, str], output: _Output
    ) -> int | None:
        command = [*properties.get("interpreter", ["/bin/sh", "-c"]), script]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=properties.get("dir"),
                env={**os.environ, **environment},
                start_new_session=True,  # so that a cancel ends what the script started, too
                limit=2**24,  # bytes in a line
            )
        except OSError as error:
            raise PluginError(f"cannot run {command[0]!r}: {error}") from error
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise PluginError(f"cannot run {command[0]!r}: no pipes")
        process.stdin.write(properties.get("stdin", "").encode())
        process.stdin.close()
        try:
            await asyncio.gather(output.take("stdout", process.stdout), output.take("stderr", process.stderr))
            code = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
            raise
        return code if code >= 0 else None


class RemoteCommand(_Command):
    """On another machine over SSH; its `environment` needs AcceptEnv in that machine's sshd."""

    type_name = "command:remote:Command"
    args = RemoteArgs
    secret = frozenset({"connection"})

    async def _run(
        self, script: str, properties: Plain, environment: Mapping[str, str], output: _Output
    ) -> int | None:
        async with _connected(properties["connection"]) as connection:
            process = await connection.create_process(script, env=dict(environment), encoding=None)
            with contextlib.suppress(BrokenPipeError):  # a script may end without reading its input
                process.stdin.write(properties.get("stdin", "").encode())
                process.stdin.write_eof()
            await asyncio.gather(output.take("stdout", process.stdout), output.take("stderr", process.stderr))
            code: int | None = (await process.wait()).exit_status
            return code


@contextlib.asynccontextmanager
async def _connected(connection: Plain) -> AsyncIterator[asyncssh.SSHClientConnection]:
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


class Command(LocalProvider):
    """It has no settings."""

    name = "command"

    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """Local and remote."""
        return [LocalCommand(), RemoteCommand()]


if __name__ == "__main__":
    main(Command)
