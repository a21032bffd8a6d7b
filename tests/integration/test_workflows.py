"""The workflows for pull requests: linted, and their commands run as they stand."""

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from devcluster import programs
from devcluster.stack import REPOSITORY

WORKFLOWS = REPOSITORY / ".github/workflows"
TOKEN = "token-of-the-workflow"


class Forge(BaseHTTPRequestHandler):
    """Keeps the comments of one pull request, as GitHub and Gitea do."""

    def do_GET(self):
        assert self.path.startswith("/api/v1/repos/me/homelab/issues/7/comments")
        self.answer([{"id": number, "body": body} for number, body in self.server.comments.items()])

    def do_POST(self):
        assert self.path == "/api/v1/repos/me/homelab/issues/7/comments"
        self.server.comments[len(self.server.comments) + 1] = self.body()
        self.answer({}, 201)

    def do_PATCH(self):
        number = int(self.path.removeprefix("/api/v1/repos/me/homelab/issues/comments/"))
        self.server.comments[number] = self.body()
        self.answer({})

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]

    def answer(self, content, status=200):
        assert self.headers["Authorization"] == f"token {TOKEN}"
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def forge():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    server.comments = {1: "looks good to me"}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture
def runner(registry, forge, tmp_path):
    """Run the steps of a workflow's job one after the other, as a runner does; the last one's result."""
    files = {name: tmp_path / name for name in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.touch()

    def run(workflow, *wanted):
        job = next(iter(yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"].values()))
        steps = {step["name"]: step["run"] for step in job["steps"] if "run" in step}
        for name in wanted:
            added = files["GITHUB_PATH"].read_text().split()
            environment = {
                **registry.cluster.env,
                **{key: str(file) for key, file in files.items()},
                "PATH": os.pathsep.join([*reversed(added), registry.cluster.env["PATH"]]),
                "STACK": "dev",
                "PULL_REQUEST": "7",
                "GITHUB_API_URL": f"http://127.0.0.1:{forge.server_port}/api/v1",
                "GITHUB_REPOSITORY": "me/homelab",
                "GITHUB_TOKEN": TOKEN,
            }
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[name]],
                cwd=registry.stack.project,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            if done.returncode != 0:
                break
        return done

    return run


def test_the_workflows_are_linted():
    linted = subprocess.run(
        [programs.find_or_build(programs.ACTIONLINT), *WORKFLOWS.glob("*.yml")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout


def test_each_action_is_pinned_by_its_commit_and_no_workflow_may_more_than_it_needs():
    for file in WORKFLOWS.glob("*.yml"):
        workflow = yaml.safe_load(file.read_text())
        [job] = workflow["jobs"].values()
        for step in job["steps"]:
            if "uses" in step:
                _, _, commit = step["uses"].partition("@")
                assert len(commit) == 40 and int(commit, 16)
        writes = {name for name, right in workflow["permissions"].items() if right != "read"}
        assert writes == ({"pull-requests"} if file.stem == "preview" else set())


def test_a_pull_request_gets_one_comment_with_the_preview_and_nomads_own_diff(registry, runner, forge):
    registry.change("registry", memory=384)

    done = runner("preview.yml", "Install", "Preview", "Plan", "Comment")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (registry.stack.project / ".venv/bin/pip").exists()
    comment = forge.comments[2]
    assert "+         MemoryMB: 384" in comment
    assert "~ 1 to update" in comment

    registry.change("registry", memory=512)
    runner("preview.yml", "Preview", "Plan", "Comment")
    assert "Nothing changes." in forge.comments[2]
    assert forge.comments[1] == "looks good to me"
    assert len(forge.comments) == 2


def test_a_pull_request_with_wrong_settings_fails_with_the_reason(registry, runner, forge):
    registry.change("registry", memory=5)
    try:
        done = runner("preview.yml", "Preview", "Plan", "Comment")
    finally:
        registry.change("registry", memory=512)

    assert done.returncode != 0
    assert "docker-registry:registry.memory: 5 is less than 32" in done.stdout
    assert len(forge.comments) == 1


def test_what_is_on_main_is_deployed_and_each_night_what_somebody_changed_is_found(registry, runner):
    registry.change("registry", memory=400)

    assert runner("up.yml", "Up").returncode == 0
    registry.wait_until_served()
    assert runner("drift.yml", "Drift").returncode == 0
    registry.run("bao", "policy", "write", "docker-registry", "-", text='path "secret/*" {}')
    drifted = runner("drift.yml", "Drift")
    assert drifted.returncode == 1
    assert "changed: policy" in drifted.stdout
