"""Runs restic on a repository (restic 0.14 and newer)."""

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_END_SECONDS = 1
_WORDS = 5  # lines of restic's own that are worth repeating


class ResticError(Exception):
    """Restic did not do what it was asked; the message has its own words."""


@dataclass(frozen=True, kw_only=True)
class Restic:
    """The program, the repository, and a file with its password."""

    program: Path
    repository: str
    password_file: Path
    scratch: Path  # for restic's temporary files
    cache: Path | None = None  # where restic keeps what it read of the repository
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # by which it gets there

    def run(self, *arguments: str, folder: Path | None = None, patience: float | None = None) -> str:
        """Run a command to its end, in `folder`; what it printed.

        By itself restic tries for 15 minutes to reach a repository, by wrong keys too; `patience` is in
        seconds. Raises ResticError.
        """
        with self.output(*arguments, folder=folder, patience=patience) as output:
            return output.read().decode()

    def json(self, *arguments: str) -> Any:
        """Run a command that prints one JSON document. Raises ResticError."""
        return json.loads(self.run(*arguments, "--json"))

    @contextmanager
    def output(
        self, *arguments: str, folder: Path | None = None, patience: float | None = None
    ) -> Iterator[IO[bytes]]:
        """Read what a command prints while it prints it. Raises ResticError if it fails in the end."""
        cache = ["--cache-dir", str(self.cache)] if self.cache else ["--no-cache"]
        command = [str(self.program), *cache, *arguments]
        with (
            tempfile.TemporaryFile(dir=self.scratch) as errors,
            subprocess.Popen(
                command,
                cwd=folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            ) as process,
            _ended_after(patience, process) as is_over,
        ):
            assert process.stdout is not None  # noqa: S101 - for the type checker
            try:
                yield process.stdout
                process.stdout.read()  # so that it comes to its end
            except BaseException:
                if not _has_failed(process):
                    process.terminate()
                    raise
                # Its output was cut short, which is why it could not be read: its own words say more.
            if process.wait() != 0:
                errors.seek(0)
                text = errors.read().decode(errors="replace")
                words = f"no success in {patience:.0f} s: {_last_try(text)}" if is_over() else _words(text)
                raise ResticError(f"restic {arguments[0]}: {words or f'exit code {process.returncode}'}")

    def _environment(self) -> Mapping[str, str]:
        return {
            **self.variables,
            "PATH": os.defpath,
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "RESTIC_REPOSITORY": self.repository,
            "RESTIC_PASSWORD_FILE": str(self.password_file),
            "RESTIC_PROGRESS_FPS": "0.1",
        }


@contextmanager
def _ended_after(patience: float | None, process: subprocess.Popen[bytes]) -> Iterator[Callable[[], bool]]:
    """End a process that takes too long; what it gives tells whether it did."""
    over = threading.Event()

    def end() -> None:
        over.set()
        process.terminate()

    timer = threading.Timer(patience or 0, end)
    if patience is not None:
        timer.start()
    try:
        yield over.is_set
    finally:
        timer.cancel()


def _last_try(text: str) -> str:
    """Find why restic tried again the last time: `Stat(<config/>) returned error, retrying after 9s: …`."""
    tries = [line for line in text.splitlines() if "retrying after" in line]
    return tries[-1].strip() if tries else "no answer"


def _has_failed(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has come to a bad end by itself; one that still writes has not."""
    try:
        return process.wait(_END_SECONDS) != 0
    except subprocess.TimeoutExpired:
        return False


def _words(text: str) -> str:
    """Take the last lines of an error output; since 0.17 `--json` makes each of them JSON."""
    lines = [_message(line.strip()) for line in text.splitlines()]
    return "; ".join([line for line in lines if line][-_WORDS:])


def _message(line: str) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        return line
    if not isinstance(told, dict):
        return line
    message = told.get("message") or told.get("error")
    return str(message.get("message") if isinstance(message, dict) else message or line).strip()
