import json
import os
import stat

import pytest
from typer.testing import CliRunner

from ops.__main__ import app

# Stands in for Pulumi's CLI: keeps the configuration in a file, and each call's arguments in another.
PULUMI = """#!/usr/bin/env python3
import json, pathlib, sys
folder, arguments = pathlib.Path(__file__).parent, sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(json.dumps({"arguments": arguments, "stdin": sys.stdin.read()}), file=calls)
if arguments[:2] == ["stack", "--show-name"]:
    print("dev")
elif arguments[:2] == ["config", "--json"]:
    print((folder / "config.json").read_text())
"""


class Pulumi:
    def __init__(self, folder):
        self.folder = folder
        script = folder / "pulumi"
        script.write_text(PULUMI)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.configure({})

    def configure(self, config):
        entries = {key: {"value": value, "secret": False} for key, value in config.items()}
        (self.folder / "config.json").write_text(json.dumps(entries))

    @property
    def calls(self):
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A stand-in for Pulumi's CLI on PATH; the real one is driven by tests/integration/test_ops_users.py."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    return Pulumi(tmp_path)


@pytest.fixture
def ops():
    """Run a command as a pipe would; gives its exit code and what it printed."""

    def run(*arguments, text=""):
        return CliRunner().invoke(app, [*arguments], input=text)

    return run
