"""`ops login` as people use it: without Pulumi, its state or a root token, and then the real docker."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from documents import block
from identity_provider import identity_provider

from config.names import OIDC_CALLBACK
from devcluster import storage_tools
from devcluster.stack import STACK

GRANTS = {
    "ci-app": {"repositories": {"ci/app": ["pull", "push", "delete"], "ci/base": ["pull", "push"]}},
    "ci-read": {"repositories": {"ci/app": ["pull"]}},
}
PAGE = "docs/clients.md"
JOB = block(PAGE, 'job "ci-push" {', under="Nomad up to 1.9 with `policies`: AppRole")
# What a credential helper of docker is: it is asked for an address, and answers with user and password.
HELPER = '#!/bin/sh\ncat >/dev/null\necho \'{"ServerURL": "x", "Username": "helper", "Secret": "wrong"}\'\n'


class Person:
    """Somebody with a home directory, the project's folder, and nothing else."""

    def __init__(self, deployment, home):
        self.deployment, self.home = deployment, home
        self.docker_config = home / "docker" / "config.json"
        (home / "bin").mkdir()

    @property
    def env(self):
        """An environment without Pulumi, its passphrase, or anybody's token."""
        return {
            "PATH": f"{self.home / 'bin'}",
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.docker_config.parent),
            "BROWSER": "true",  # the tests play it
        }

    def ops(self, *arguments, text="", env=None):
        return subprocess.run(
            [sys.executable, "-m", "ops", *arguments, "--stack", STACK],
            cwd=self.deployment.stack.project,
            env={**self.env, **(env or {})},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def log_in_by_browser(self, grant, browse):
        """Log in by OIDC; `browse` is what the person does with the URL that is printed."""
        with subprocess.Popen(
            [sys.executable, "-m", "ops", "login", grant, "--stack", STACK],
            cwd=self.deployment.stack.project,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as command:
            told = []
            for line in command.stderr:
                told.append(line)
                if line.startswith("http"):
                    browse(line.strip())
        return command.returncode, "".join(told)

    def docker(self, *arguments):
        """Run docker with the person's log-ins; gives whether it worked, and what it said."""
        return self._client("docker", *arguments)

    def crane(self, *arguments):
        return self._client("crane", *arguments)

    def _client(self, *command):
        cluster = self.deployment.cluster
        env = {
            **cluster.env,
            "PATH": f"{self.home / 'bin'}{os.pathsep}{cluster.env['PATH']}",
            "DOCKER_CONFIG": str(self.docker_config.parent),
            "SSL_CERT_FILE": str(cluster.ca_file),
        }
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180)
        return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def provider(cluster, tmp_path_factory):
    # A port of the cluster's: one that was free a moment ago may be the end of a connection by now.
    bao, port = cluster.instance.bin / "bao", cluster.instance.ports.vault_api + 50
    with identity_provider(bao, tmp_path_factory.mktemp("identity-provider"), port) as running:
        for name in ("carol", "dave", "erin"):
            running.add_person(name)
        running.add_group("developers", ["carol"])
        running.add_group("guests", ["erin"])
        yield running


@pytest.fixture(scope="module")
def registry(deployment, provider):
    """The registry in auth mode vault, with the provider's group `developers`; put back afterwards."""
    before = deployment.settings_text()
    client_id, client_secret = provider.serve(OIDC_CALLBACK)
    deployment.change(
        "auth",
        mode="vault",
        users=None,
        grants=GRANTS,
        oidc={
            "discoveryUrl": provider.discovery_url,
            "clientId": client_id,
            "groups": {"developers": ["ci-app"]},
        },
    )
    deployment.encrypt("auth.oidc.clientSecret", client_secret)
    deployment.up()
    deployment.wait_until_served()
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.fixture(scope="module")
def anna(cluster, registry):
    """A user of Vault itself with the grant ci-app; gives her password."""
    vault = httpx.Client(
        base_url=f"{cluster.vault_address}/v1/", headers={"X-Vault-Token": cluster.vault_token}
    )
    password = secrets.token_urlsafe(12)
    if "userpass/" not in vault.get("sys/auth").json()["data"]:
        vault.post("sys/auth/userpass", json={"type": "userpass"}).raise_for_status()
    user = {"password": password, "token_policies": "docker-registry-ci-app"}
    vault.post("auth/userpass/users/anna", json=user).raise_for_status()
    yield password
    vault.delete("auth/userpass/users/anna").raise_for_status()


@pytest.fixture
def annas_token(cluster, anna):
    """A token of Vault's that belongs to her."""
    url = f"{cluster.vault_address}/v1/auth/userpass/login/anna"
    return httpx.post(url, json={"password": anna}).json()["auth"]["client_token"]


@pytest.fixture
def person(registry, tmp_path):
    return Person(registry, tmp_path)


def works(result):
    worked, said = result
    assert worked, said


def fails(result):
    worked, said = result
    assert not worked
    return said


def log_in_with_password(person, password, *options, grant="ci-app"):
    method = ("--method", "userpass", "--username", "anna")
    return person.ops("login", grant, *method, *options, text=f"{password}\n")


def test_a_user_of_vault_pushes_and_pulls_the_grants_repository_and_no_other(registry, person, anna):
    done = log_in_with_password(person, anna)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

    for address in (registry.address, registry.tls_address):
        registry.docker("tag", "registry:3", f"{address}/ci/app:1")
        registry.docker("tag", "registry:3", f"{address}/other/app:1")
        works(person.docker("push", "--quiet", f"{address}/ci/app:1"))
        works(person.docker("pull", "--quiet", f"{address}/ci/app:1"))
        assert "denied" in fails(person.docker("push", "--quiet", f"{address}/other/app:1"))
    name = registry.tls_address
    works(person.crane("copy", f"{name}/ci/app:1", f"{name}/ci/app:by-crane"))
    assert "401 Unauthorized" in fails(person.crane("copy", f"{name}/ci/app:1", f"{name}/other/app:1"))
    assert anna not in person.docker_config.read_text() + done.stderr


def test_a_token_comes_before_what_a_credential_helper_knows(registry, person, anna):
    helper = person.home / "bin" / "docker-credential-wrong"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    person.docker_config.parent.mkdir()
    person.docker_config.write_text(json.dumps({"credsStore": "wrong"}))

    log_in_with_password(person, anna)

    registry.docker("tag", "registry:3", f"{registry.tls_address}/ci/app:2")
    works(person.docker("push", "--quiet", f"{registry.tls_address}/ci/app:2"))
    assert json.loads(person.docker_config.read_text())["credsStore"] == "wrong"


def test_a_printed_token_is_what_the_registry_takes(registry, person, anna):
    done = log_in_with_password(person, anna, "--print")

    answer = httpx.get(
        f"http://{registry.address}/v2/ci/app/tags/list",
        headers={"Authorization": f"Bearer {done.stdout.strip()}"},
    )
    assert answer.status_code == 200
    assert not person.docker_config.exists()


def test_after_logging_out_docker_is_refused(registry, person, anna):
    log_in_with_password(person, anna)

    assert person.ops("logout").returncode == 0
    registry.docker("tag", "registry:3", f"{registry.tls_address}/ci/app:3")
    said = fails(person.docker("push", "--quiet", f"{registry.tls_address}/ci/app:3"))
    assert said == "unauthorized: authentication required\n"


def test_the_vault_token_that_a_log_in_made_ends_with_it(cluster, person, anna):
    vault = httpx.Client(
        base_url=f"{cluster.vault_address}/v1/", headers={"X-Vault-Token": cluster.vault_token}
    )

    def hers():
        """Accessors of her tokens; those of jobs come and go at any time."""
        accessors = vault.request("LIST", "auth/token/accessors").json()["data"]["keys"]
        found = {
            each: vault.post("auth/token/lookup-accessor", json={"accessor": each}) for each in accessors
        }
        return {
            accessor
            for accessor, answer in found.items()
            if answer.is_success and answer.json()["data"]["path"] == "auth/userpass/login/anna"
        }

    before = hers()
    log_in_with_password(person, anna)
    assert hers() == before


def test_a_grant_that_was_not_given_is_refused(person, anna):
    done = log_in_with_password(person, anna, grant="ci-read")

    assert done.returncode == 1
    assert "gives no token of ci-read: 1 error occurred: * permission denied" in done.stderr
    assert "let Vault's administrator give you the policy docker-registry-ci-read" in done.stderr


def test_a_root_token_is_refused_with_what_to_do(cluster, person):
    done = person.ops("login", "ci-app", env={"VAULT_TOKEN": cluster.vault_token})

    assert (done.returncode, done.stdout) == (1, "")
    assert "no entity associated with the request's token. A root token" in done.stderr
    assert "Traceback" not in done.stderr
    assert cluster.vault_token not in done.stderr


def test_a_person_of_the_providers_group_logs_in_by_the_browser_and_pushes(registry, provider, person):
    code, told = person.log_in_by_browser("ci-app", lambda url: provider.browse(url, "carol"))

    assert code == 0, told
    registry.docker("tag", "registry:3", f"{registry.tls_address}/ci/app:4")
    works(person.docker("push", "--quiet", f"{registry.tls_address}/ci/app:4"))


@pytest.mark.parametrize(
    ("outsider", "reason"),
    [
        ("erin", "become a member of developers"),
        ("dave", "the provider names no group of yours"),
    ],
)
def test_a_person_outside_the_group_is_refused_with_the_reason(provider, person, outsider, reason):
    code, told = person.log_in_by_browser("ci-app", lambda url: provider.browse(url, outsider))

    assert code == 1
    assert reason in told
    assert not person.docker_config.exists()


@pytest.fixture
def approle(cluster, registry):
    """What the page tells to set up for a job that logs in by AppRole."""
    registry.documented(PAGE, "vault auth enable approle")
    yield
    vault = httpx.Client(
        base_url=f"{cluster.vault_address}/v1/", headers={"X-Vault-Token": cluster.vault_token}
    )
    vault.delete("sys/auth/approle").raise_for_status()
    vault.delete("sys/policies/acl/ci-push").raise_for_status()


@pytest.fixture
def crane_image(cluster, registry, tmp_path):
    """The image with crane that the page names, of the cluster's own crane."""
    name = re.search(r'image += "(\S+/crane:\S+)"', JOB.text)[1]
    crane = Path(shutil.which("crane", path=cluster.env["PATH"])).resolve()
    subprocess.run(
        ["tar", "-cf", str(tmp_path / "crane.tar"), "-C", str(crane.parent), crane.name], check=True
    )
    change = f'ENTRYPOINT ["/{crane.name}"]'
    registry.docker("import", "--change", change, str(tmp_path / "crane.tar"), name)
    return name


def test_the_documented_job_logs_in_by_approle_and_pushes(  # noqa: PLR0917
    cluster, registry, person, anna, approle, crane_image
):
    log_in_with_password(person, anna)
    registry.docker("tag", "registry:3", f"{registry.address}/ci/base:1")
    works(person.docker("push", "--quiet", f"{registry.address}/ci/base:1"))
    job = JOB.text.replace("https://vault.homelab.local:8200", cluster.vault_address)
    job = job.replace('["copy"', '["--insecure", "copy"')  # its own port speaks plain HTTP here
    job = job.replace('"registry.homelab.local', f'"{registry.address}')

    registry.run("nomad", "job", "run", "-detach", "-", text=job)
    try:
        wait_until_complete(cluster, "ci-push", registry)
    finally:
        registry.run("nomad", "job", "stop", "-purge", "ci-push")

    token = log_in_with_password(person, anna, "--print").stdout.strip()
    tags = httpx.get(
        f"http://{registry.address}/v2/ci/app/tags/list", headers={"Authorization": f"Bearer {token}"}
    )
    assert "1" in tags.json()["tags"]


@pytest.fixture
def at_a_shell(registry, person, annas_token):
    """Runs a block or a command of the documents as anna would."""
    env = {"VAULT_TOKEN": annas_token, "DOCKER_CONFIG": str(person.home / "docker")}
    registry.docker("tag", "registry:3", f"{registry.tls_address}/ci/app:1")

    def run(commands, **options):
        return registry.shell(commands, env=env, **options)

    return run


def test_the_documented_commands_log_in_push_list_and_log_out(registry, at_a_shell, person):
    (login,) = block("README.md", "python -m ops login ci-app").commands
    clients = block(PAGE, "python -m ops login ci-app --stack homelab", under="docker and crane")
    at_the_nas = block(PAGE, "python -m ops login ci-app --stack homelab", under="Synology Container Manager")

    assert "1" in at_a_shell(clients.text).splitlines()
    assert "registrytoken" not in person.docker_config.read_text()
    at_a_shell(at_the_nas.text)
    at_a_shell(login)
    assert "registrytoken" in person.docker_config.read_text()


def test_the_documented_commands_list_and_delete_an_image(registry, at_a_shell):
    commands = block("docs/operations.md", "python -m ops login ci-app").commands
    login, *asking, deletion = commands
    at_a_shell(login)
    at_a_shell(f"docker push {registry.tls_address}/ci/app:1")

    tags, digest = (at_a_shell(command).split() for command in asking)
    assert "1" in tags
    at_a_shell(deletion, replace={"sha256:…": digest[0]})
    assert "1" not in at_a_shell(asking[0]).splitlines()


def test_a_printed_token_goes_to_another_program(registry, at_a_shell, person):
    tool = person.home / "bin" / "my-tool"
    request = f"curl -sf -H @- -o /dev/null https://{registry.tls_address}/v2/ci/app/tags/list && echo taken"
    tool.write_text(f"#!/bin/sh\nsed 's/^/Authorization: Bearer /' | {request}\n")
    tool.chmod(0o755)
    printed = block(PAGE, "python -m ops login ci-app --stack homelab --print | my-tool --token-stdin")

    assert "taken" in at_a_shell(printed.text, replace={"my-tool": tool})


def test_skopeo_pushes_with_a_token_on_its_command_line(registry, at_a_shell):
    storage_tools.ensure()
    registry.docker("save", "--output", str(registry.stack.project / "app.tar"), "registry:3")
    copy = block(
        PAGE,
        'skopeo copy --dest-registry-token "$(python -m ops login ci-app --stack homelab --print)" \\',
    )

    at_a_shell(copy.text)
    (registry.stack.project / "app.tar").unlink()


def wait_until_complete(cluster, job, registry):
    for _ in range(180):
        allocations = httpx.get(f"{cluster.nomad_address}/v1/job/{job}/allocations").json()
        states = {each["ClientStatus"] for each in allocations}
        if states == {"complete"}:
            return
        if "failed" in states:
            allocation = allocations[0]["ID"]
            told = [
                registry.run("nomad", "alloc", "logs", "-stderr", allocation, task)
                for task in ("log-in", "push")
            ]
            raise AssertionError("".join(told))
        time.sleep(1)
    raise AssertionError(f"{job} is not complete after 180 s: {allocations}")
