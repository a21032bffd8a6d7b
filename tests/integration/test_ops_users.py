"""`ops users` against the real Pulumi CLI, with a backend and a stack of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest

REPOSITORY = Path(__file__).parents[2]
STACK_FILE = """\
config:
  # who may log in
  docker-registry:auth:
    mode: htpasswd # the only one so far
"""


class Project:
    def __init__(self, folder, env):
        self.folder = folder
        (folder / "backend").mkdir()
        shutil.copy(REPOSITORY / "Pulumi.yaml", folder)
        self.file = folder / "Pulumi.dev.yaml"
        self.file.write_text(STACK_FILE)
        self._env = {
            **env,
            "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
            "PYTHONPATH": str(REPOSITORY),
        }
        self._env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        self.pulumi("stack", "init", "dev")

    def pulumi(self, *arguments):
        return self._run("pulumi", *arguments, "--non-interactive").stdout

    def users(self, *arguments, text=""):
        return self._run(sys.executable, "-m", "ops", "users", *arguments, text=text, check=False)

    def stored(self):
        listing = json.loads(self.pulumi("config", "--json", "--show-secrets"))
        return json.loads(listing["docker-registry:auth"]["value"]).get("users")

    def _run(self, *command, text="", check=True):
        return subprocess.run(
            command, cwd=self.folder, env=self._env, input=text, capture_output=True, text=True, check=check
        )


@pytest.fixture
def project(cluster, tmp_path):
    return Project(tmp_path, {**os.environ, **cluster.env})


def test_a_user_is_set_listed_and_removed_in_the_stack_file(project):
    for name in ("alice", "a.b"):
        done = project.users("set", name, text="correct horse\n")
        assert (done.returncode, done.stderr) == (0, "")

    assert project.users("list").stdout == "a.b\nalice\n"
    assert bcrypt.checkpw(b"correct horse", project.stored()["a.b"].encode())

    assert project.users("remove", "a.b").returncode == 0
    assert json.loads(project.users("list", "--json").stdout) == ["alice"]
    assert project.users("remove", "a.b").returncode == 2


def test_the_stack_file_keeps_its_comments_and_shows_neither_password_nor_hash(project):
    project.users("set", "alice", text="correct horse\n")

    text = project.file.read_text()
    assert "# who may log in" in text
    assert "# the only one so far" in text
    assert "secure:" in text
    assert "correct horse" not in text
    assert "$2b$" not in text


def test_setting_a_user_again_changes_the_password(project):
    project.users("set", "alice", text="correct horse\n")
    project.users("set", "alice", text="battery staple\n")

    assert bcrypt.checkpw(b"battery staple", project.stored()["alice"].encode())


def test_a_stack_that_does_not_exist_is_pulumis_error_without_a_traceback(project):
    done = project.users("list", "--stack", "nope")

    assert done.returncode == 1
    assert "no stack named 'nope' found" in done.stderr
    assert "Traceback" not in done.stderr
