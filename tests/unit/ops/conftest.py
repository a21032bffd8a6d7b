import json
import os
import stat
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest
import yaml
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
elif arguments[:2] == ["stack", "export"]:
    print((folder / "state.json").read_text())
"""


class Pulumi:
    def __init__(self, folder):
        self.folder = folder
        script = folder / "pulumi"
        script.write_text(PULUMI)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.configure({})

    def configure(self, config, secret=()):
        entries = {key: {"value": value, "secret": key in secret} for key, value in config.items()}
        (self.folder / "config.json").write_text(json.dumps(entries))

    def export(self, state):
        (self.folder / "state.json").write_text(json.dumps(state))

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


class Vault(ThreadingHTTPServer):
    """Plays Vault on this machine: answers what a test gave, and keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _VaultHandler)
        self.answers = {}
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path, body, status=200):
        self.answers[path] = (status, body)

    def refuse(self, path, status, reason):
        self.answer(path, {"errors": [reason]}, status)


class _VaultHandler(BaseHTTPRequestHandler):
    def _answer(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("X-Vault-Token")
        self.server.asked.append((self.command, path, token, json.loads(body) if body else parse_qs(query)))
        status, answer = self.server.answers.get(path, (404, {"errors": []}))
        text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, *args):
        pass


@pytest.fixture
def vault():
    with Vault() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client_machine(tmp_path, monkeypatch, vault):
    """A person's machine: the project's folder with `Pulumi.dev.yaml`, no Pulumi, no state, no passphrase."""
    for name in [*os.environ]:
        if name.startswith(("PULUMI_", "VAULT_", "DOCKER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)

    def write(**sections):
        config = {f"docker-registry:{key}": value for key, value in sections.items()}
        content = {"config": {"vault:address": vault.address, **config}}
        (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(content))
        return tmp_path

    return write
