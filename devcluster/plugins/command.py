"""Local stand-in for the command plugin: scripts on this machine, or on another one over SSH."""

import asyncio
import contextlib
import os
import secrets
import signal
from abc import abstractmethod
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any

from pulumi_command.local.command import CommandArgs as LocalArgs
from pulumi_command.remote.command import CommandArgs as RemoteArgs

from devcluster.plugins.errors import PluginError
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Call, Resource
from devcluster.plugins.values import Plain


class _Command(Resource):
    """Runs `create`, `update` (or `create` again) and `delete`; nothing can be read back."""

    outputs = ("stdout", "stderr")
    volatile = outputs
    replacing = frozenset({"triggers"})
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
    """On this machine.

    As published, what it prints is no secret because its environment is one: a program that prints it says so
    by `additional_secret_outputs`.
    """

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
    tainted = frozenset(_Command.outputs)
    secret = frozenset({"connection"})

    async def _run(
        self, script: str, properties: Plain, environment: Mapping[str, str], output: _Output
    ) -> int | None:
        # asyncssh is slow to load (it looks for a library with the linker), and the engine starts us often.
        from devcluster.plugins.ssh import connected  # noqa: PLC0415

        async with connected(properties["connection"]) as connection:
            process = await connection.create_process(script, env=dict(environment), encoding=None)
            with contextlib.suppress(BrokenPipeError):  # a script may end without reading its input
                process.stdin.write(properties.get("stdin", "").encode())
                process.stdin.write_eof()
            await asyncio.gather(output.take("stdout", process.stdout), output.take("stderr", process.stderr))
            code: int | None = (await process.wait()).exit_status
            return code


class Command(LocalProvider):
    """It has no settings."""

    name = "command"
    bridged = False

    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """Local and remote."""
        return [LocalCommand(), RemoteCommand()]


PROVIDER = Command
