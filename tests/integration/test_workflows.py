"""The workflows for pull requests: linted, and their commands run as they stand."""

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import yaml

from devcluster import programs
from devcluster.stack import REPOSITORY

WORKFLOWS = REPOSITORY / ".github/workflows"
ROBOT = {"login": "github-actions[bot]", "id": 41898282}
QUOTED = "<!-- docker-registry: ops comment -->\nlooks good to me"  # a person's, with the mark of ours
TOKEN = "token-of-the-workflow"


class Forge(BaseHTTPRequestHandler):
    """Keeps the comments of one pull request, as GitHub and Gitea do."""

    def do_GET(self):
        if self.path == "/api/v1/user":  # a workflow's own token may not ask that
            self.answer({"message": "Resource not accessible by integration"}, 403)
            return
        assert self.path.startswith("/api/v1/repos/me/homelab/issues/7/comments")
        self.answer(
            [
                {"id": number, "body": body, "user": {"login": "alice", "id": 5} if number == 1 else ROBOT}
                for number, body in self.server.comments.items()
            ]
        )

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
    server.comments = {1: QUOTED}
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
    shutil.rmtree(deployment.stack.project / ".venv", ignore_errors=True)  # which the workflow installs
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture
def runner(registry, forge, tmp_path):
    """Run steps of a workflow's job one after the other, as a runner does; its result and all output."""
    files = {name: tmp_path / name for name in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.touch()
    values = {"secrets.GITHUB_TOKEN": TOKEN, "github.event.number": "7"}

    def run(workflow, *wanted, stacks=None):
        job = the_job(workflow)
        steps = {step["name"]: step for step in job["steps"] if "run" in step}
        result = SimpleNamespace(returncode=0, stdout="", stderr="")
        for step in (steps[name] for name in wanted):
            if not runs(step, failed=result.returncode != 0):
                continue
            values["job.status"] = "failure" if result.returncode else "success"
            added = files["GITHUB_PATH"].read_text().split()
            environment = {
                **dict.fromkeys(job["env"], ""),  # a secret or variable that nobody set
                **registry.cluster.env,
                **{key: str(file) for key, file in files.items()},
                "PATH": os.pathsep.join([*reversed(added), registry.cluster.env["PATH"]]),
                "STACK": (stacks or {}).get(step["name"], "dev"),
                "GITHUB_API_URL": f"http://127.0.0.1:{forge.server_port}/api/v1",
                "GITHUB_REPOSITORY": "me/homelab",
                **{key: values[value[4:-3]] for key, value in step.get("env", {}).items()},
            }
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=registry.stack.project,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            result.returncode = result.returncode or done.returncode
            result.stdout, result.stderr = result.stdout + done.stdout, result.stderr + done.stderr
        return result

    return run


def the_job(workflow):
    [job] = yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"].values()
    return job


def runs(step, *, failed):
    """Whether a step runs after others that went well or not."""
    condition = step.get("if", "success()")
    return "!cancelled()" in condition or ("failure()" in condition) == failed


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


def test_code_of_a_fork_does_not_run_on_the_runner_that_reaches_the_cluster():
    of_a_pull_request = [
        file.name
        for file in WORKFLOWS.glob("*.yml")
        # YAML 1.1 reads the key `on` as true.
        if {"pull_request", "pull_request_target"} & set(yaml.safe_load(file.read_text())[True])
    ]

    assert of_a_pull_request == ["preview.yml"]
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    assert the_job("preview.yml")["if"] == same


def test_what_is_on_main_waits_for_an_approval_and_tells_why_it_failed():
    workflow, job = yaml.safe_load((WORKFLOWS / "up.yml").read_text()), the_job("up.yml")

    assert workflow[True] == {"push": {"branches": ["main"]}}
    assert job["environment"] == "homelab"
    *_, up, why = job["steps"]
    assert up["run"].startswith("pulumi up --stack") and "if" not in up
    assert (why["if"], why["run"]) == ("failure()", 'python -m ops why --stack "$STACK"')


def test_drift_is_looked_for_each_night():
    [schedule] = yaml.safe_load((WORKFLOWS / "drift.yml").read_text())[True]["schedule"]

    minute, hour, *days = schedule["cron"].split()
    assert minute.isdigit() and int(hour) < 6 and days == ["*", "*", "*"]


def test_every_workflow_takes_what_reaches_the_state_and_the_servers():
    names = (
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_CONFIG_PASSPHRASE",
        "NOMAD_TOKEN",
        "CONSUL_HTTP_TOKEN",
        "VAULT_TOKEN",
    )
    told = (REPOSITORY / "docs/pull-requests.md").read_text()

    for file in WORKFLOWS.glob("*.yml"):
        env = the_job(file.name)["env"]
        assert {name: env[name] for name in names} == {name: f"${{{{ secrets.{name} }}}}" for name in names}
    assert all(f"`{name}`" in told for name in names)


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
    assert forge.comments[1] == QUOTED
    assert len(forge.comments) == 2


def test_a_pull_request_with_wrong_settings_fails_with_the_reason(registry, runner, forge):
    registry.change("registry", memory=5)
    try:
        done = runner("preview.yml", "Preview", "Plan", "Comment")
    finally:
        registry.change("registry", memory=512)

    reason = "docker-registry:registry.memory: 5 is less than 32"
    assert done.returncode != 0
    assert reason in done.stdout
    assert forge.comments.keys() == {1, 2}
    assert "### Stack `dev`: the preview failed" in forge.comments[2]
    assert reason in forge.comments[2].partition("<details open>")[2]
    assert "Nothing changes." not in forge.comments[2]


def test_a_pull_request_that_cannot_be_planned_fails_with_the_reason_and_the_preview(runner, forge):
    done = runner("preview.yml", "Preview", "Plan", "Comment", stacks={"Plan": "gone"})

    assert done.returncode != 0
    assert "### Stack `dev`: the preview failed" in forge.comments[2]
    assert "no stack named 'gone' found" in forge.comments[2]
    assert "Previewing update (dev)" in forge.comments[2].partition("<details open>")[2]


def test_what_is_on_main_is_deployed_and_each_night_what_somebody_changed_is_found(registry, runner):
    registry.change("registry", memory=400)

    assert runner("up.yml", "Up").returncode == 0
    registry.wait_until_served()
    assert runner("drift.yml", "Drift").returncode == 0
    registry.run("bao", "policy", "write", "docker-registry", "-", text='path "secret/*" {}')
    drifted = runner("drift.yml", "Drift")
    assert drifted.returncode == 1
    assert "changed: policy" in drifted.stdout
