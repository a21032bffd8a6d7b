"""The stack that a command works on, read and written through Pulumi's own CLI.

Not by the Automation API, which runs the same CLI: importing it alone doubles the time of a command.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from checks.no_proxy import LOOPBACK, no_proxy
from config.encrypted import marked
from config.problems import SettingsError
from config.settings import Settings

_MARKUP = re.compile(r"<\{%.*?%\}>")  # the engine's colors


class StackError(Exception):
    """Pulumi could not do what it was asked, and the message is its own; or the stack has no file here."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A resource as the state has it. Inputs may be secrets."""

    urn: str
    type: str  # as vault:index/policy:Policy
    inputs: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Stack:
    """A stack of the project in the working directory."""

    name: str

    @classmethod
    def selected(cls, name: str | None) -> "Stack":
        """Take the stack by its name, else the selected one. Raises StackError when there is none."""
        return cls(name or _pulumi("stack", "--show-name").strip())

    def config(self) -> Mapping[str, str]:
        """Read the whole configuration, decrypted: full keys, values as the engine hands them over.

        What is encrypted has its mark (config/encrypted.py). Raises SettingsError if it cannot be told.
        """
        listing = json.loads(_pulumi("config", "--json", "--show-secrets", "--stack", self.name))
        given = {key: entry["value"] for key, entry in listing.items() if "value" in entry}
        if not (secret_keys := {key for key in given if listing[key]["secret"]}):
            return given
        config, problems = marked(given, secret_keys, self.file_config())
        if problems:
            raise SettingsError(f"Pulumi.{self.name}.yaml", problems)
        return config

    def file_config(self) -> Mapping[str, Any]:
        """Read the configuration as it is in the stack's file: secrets stay `{secure: …}`.

        It needs neither the passphrase nor the state, nor Pulumi itself.
        """
        file = Path(
            f"Pulumi.{self.name.rpartition('/')[2]}.yaml"
        )  # a full name has the organisation before it
        try:
            content = yaml.safe_load(file.read_text())
        except FileNotFoundError:
            raise StackError(
                f"{file} is not in {Path.cwd()}: run this in the project's folder, or ask who deploys "
                "the registry for that file"
            ) from None
        except yaml.YAMLError as error:
            raise StackError(f"{file} is no YAML: {error}") from None
        config = content.get("config") if isinstance(content, dict) else None
        return config if isinstance(config, dict) else {}

    def settings(self) -> Settings:
        """Read and check the settings. Raises SettingsError with everything that is wrong."""
        return Settings.read(self.name, self.config(), os.environ)

    def deployed(self) -> list[Deployed]:
        """Read the state: what the last `up` left, secrets in clear, which no preview shows."""
        state = json.loads(_pulumi("stack", "export", "--show-secrets", "--stack", self.name))
        return [
            Deployed(urn=each["urn"], type=each["type"], inputs=_clear(each.get("inputs") or {}))
            for each in (state.get("deployment") or {}).get("resources") or ()
        ]

    def preview(self) -> Mapping[str, Any]:
        """Let the engine say what `up` would do, secrets in clear. Raises StackError with its errors."""
        arguments = ("preview", "--json", "--show-sames", "--show-secrets", "--stack", self.name)
        done = _run(*arguments)
        try:
            said: Mapping[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise StackError(_failure(done, "preview")) from None
        errors = [
            each["message"]
            for each in said.get("diagnostics", ())
            # A Terraform provider logs an error before it returns it, so that one comes twice.
            if each["severity"] == "error" and "sdk.helper_schema: " not in each["message"]
        ]
        if done.returncode != 0:
            raise StackError(_MARKUP.sub("", "\n".join(errors)).strip() or _failure(done, "preview"))
        return said

    def set_secret(self, path: str, value: str) -> None:
        """Store a secret; its value goes over standard input, since every user can read argv."""
        _pulumi("config", "set", "--secret", "--path", path, "--stack", self.name, stdin=value)

    def remove(self, path: str) -> None:
        """Remove a key."""
        _pulumi("config", "rm", "--path", path, "--stack", self.name)


def _clear(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Take inputs out of their secrets, which the state has as JSON in `plaintext`."""
    return {
        key: json.loads(value["plaintext"]) if isinstance(value, dict) and "plaintext" in value else value
        for key, value in inputs.items()
    }


def _pulumi(*arguments: str, stdin: str = "") -> str:
    done = _run(*arguments, stdin=stdin)
    if done.returncode != 0:
        raise StackError(_failure(done, arguments[0]))
    return done.stdout


def _failure(done: subprocess.CompletedProcess[str], command: str) -> str:
    return done.stderr.strip() or f"pulumi {command} failed: exit code {done.returncode}"


def _run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **no_proxy(os.environ, *LOOPBACK)},
        )
    except FileNotFoundError:
        raise StackError(
            "pulumi is not on PATH: install it, or for the embedded cluster `. .cluster/env`"
        ) from None
