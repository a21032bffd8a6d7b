"""The stack that a command works on, read and written through Pulumi's own CLI.

Not by the Automation API, which runs the same CLI: importing it alone doubles the time of a command.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from config.settings import Settings


class StackError(Exception):
    """Pulumi could not do what it was asked; the message is its own."""


@dataclass(frozen=True)
class Stack:
    """A stack of the project in the working directory."""

    name: str

    @classmethod
    def selected(cls, name: str | None) -> "Stack":
        """Take the stack by its name, else the selected one. Raises StackError when there is none."""
        return cls(name or _pulumi("stack", "--show-name").strip())

    def config(self) -> Mapping[str, str]:
        """Read the whole configuration, decrypted: full keys, values as the engine hands them over."""
        listing = json.loads(_pulumi("config", "--json", "--show-secrets", "--stack", self.name))
        return {key: entry["value"] for key, entry in listing.items() if "value" in entry}

    def settings(self) -> Settings:
        """Read and check the settings. Raises SettingsError with everything that is wrong."""
        return Settings.read(self.name, self.config(), os.environ)

    def set_secret(self, path: str, value: str) -> None:
        """Store a secret; its value goes over standard input, since every user can read argv."""
        _pulumi("config", "set", "--secret", "--path", path, "--stack", self.name, stdin=value)

    def remove(self, path: str) -> None:
        """Remove a key."""
        _pulumi("config", "rm", "--path", path, "--stack", self.name)


def _pulumi(*arguments: str, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise StackError(
            "pulumi is not on PATH: install it, or for the embedded cluster `. .cluster/env`"
        ) from None
    if done.returncode != 0:
        raise StackError(done.stderr.strip() or f"pulumi {arguments[0]} failed: exit code {done.returncode}")
    return done.stdout
