"""`ops plan`, `ops drift` and `ops render`: what is to change, and what changed behind Pulumi's back."""

import json
import re
import shlex
import socket
from contextlib import ExitStack

import httpx
import pytest
import yaml
from documents import block
from forwarding import other_address
from waiting import until

PAGE = "docs/pull-requests.md"
EXCEPTED = block(
    "docs/troubleshooting.md",
    "export NO_PROXY=127.0.0.1,localhost,registry.homelab.local,192.168.1.0/24",
)
PLAN, MARKDOWN, DRIFT, RENDER, RENDER_JOB = block(PAGE, "python -m ops plan").commands


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


def ops(registry, *arguments, check=True):
    return registry.run("python", "-m", "ops", *arguments, "--stack", "dev", check=check)


def test_a_job_changed_behind_pulumis_back_is_shown_and_mended_by_the_command(registry):
    registry.docker("tag", "registry:3", "registry:theirs")
    with httpx.Client(base_url=registry.cluster.nomad_address) as nomad:
        job = nomad.get("/v1/job/docker-registry").json()
        task = job["TaskGroups"][0]["Tasks"][0]
        task["Resources"]["MemoryMB"] = 333
        task["Config"]["image"] = "registry:theirs"
        task["Env"]["FOO"] = "bar"
        nomad.post("/v1/jobs", json={"Job": job}).raise_for_status()  # without its source, which hides it

    told = registry.documented("README.md", "python -m ops drift", check=False)

    assert "-         MemoryMB: 333" in told
    assert "-         image: registry:theirs" in told
    assert "-       Env[FOO]: bar" in told
    _, _, fix = told.strip().rpartition("to mend it: ")
    assert fix.startswith("python -m ops render docker-registry")  # the provider does not see it
    registry.run("sh", "-c", fix)
    registry.wait_until_served()
    assert "everything is as it was deployed" in registry.shell(DRIFT)
    assert registry.changes() == {}


def test_a_job_scaled_to_nothing_is_told_as_dead_with_its_difference_and_up_starts_it(registry):
    with httpx.Client(base_url=registry.cluster.nomad_address) as nomad:
        job = nomad.get("/v1/job/docker-registry").json()
        job["TaskGroups"][0]["Count"] = 0
        nomad.post("/v1/jobs", json={"Job": job}).raise_for_status()
        until(lambda: nomad.get("/v1/job/docker-registry").json()["Status"] == "dead")

    told = registry.documented("README.md", "python -m ops drift", check=False)

    assert "is dead: nothing of it runs" in told
    assert "-     Count: 0" in told
    assert "to mend it: pulumi up --stack dev" in told
    registry.up()
    registry.wait_until_served()
    assert "everything is as it was deployed" in registry.shell(DRIFT)


def test_what_changed_in_vault_and_consul_is_named_and_up_mends_it(registry):
    registry.run(
        "bao", "policy", "write", "docker-registry", "-", text='path "secret/*" { capabilities = ["read"] }'
    )
    consul = registry.cluster.consul_address
    httpx.delete(f"{consul}/v1/config/service-defaults/registry").raise_for_status()

    drifted = {each["resource"]: each for each in json.loads(ops(registry, "drift", "--json", check=False))}

    assert drifted["vault:Policy registry-access-policy"]["what"] == ["changed: policy"]
    assert drifted["consul:ConfigEntryServiceDefaults registry-service-defaults"]["what"] == ["is gone"]
    assert len(drifted) == 2
    for fix in {each["fix"] for each in drifted.values()}:
        registry.run(*shlex.split(fix), "--yes", "--skip-preview")
    assert "everything is as it was deployed" in ops(registry, "drift")


def test_a_change_of_memory_is_one_line_of_the_preview_and_its_exact_difference(registry):
    registry.change("registry", memory=768)
    shown = block(PAGE, "  job docker-registry (1 create/destroy update)")

    assert registry.changes() == {"registry-job": "update"}
    assert re.search(r"registry-job +update +\[diff: ~jobspec\]", registry.preview())
    assert registry.shell(MARKDOWN) == (
        f"### Stack `dev`\n\n- **update** `nomad:Job registry-job: jobspec`\n\n```diff\n{shown.text}\n```\n"
    )


def test_what_changes_nothing_shows_nothing(registry):
    registry.change("registry", memory=512)

    assert registry.shell(PLAN) == "nothing changes\n"


def test_wrong_settings_fail_the_plan_with_their_reasons(registry):
    registry.change("registry", memory=5)
    try:
        told = ops(registry, "plan", "--markdown", check=False)
    finally:
        registry.change("registry", memory=512)
    assert "docker-registry:registry.memory: 5 is less than 32" in told


def test_every_job_is_rendered_as_it_runs_and_has_no_secret(registry):
    told = registry.shell(RENDER)

    assert "# docker-registry/registry/registry/secrets/config.yml\n" in told
    assert "readonly:" in told
    secret = registry.run("bao", "kv", "get", "-field=secret", "secret/docker-registry/http").strip()
    assert len(secret) > 30 and secret not in told
    job = json.loads(registry.shell(RENDER_JOB))
    assert job["TaskGroups"][0]["Tasks"][0]["Resources"]["MemoryMB"] == 512
    assert "the stack has no job nonsense" in ops(registry, "render", "nonsense", check=False)


def test_a_proxy_of_the_environment_that_is_dead_is_not_asked_for_servers_on_loopback(registry):
    proxies = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
    env = dict.fromkeys(proxies, "http://127.0.0.1:9") | {"ALL_PROXY": "socks5://127.0.0.1:9"}

    def ops_there(*arguments):
        return registry.run("python", "-m", "ops", *arguments, "--stack", "dev", env=env)

    assert "healthy" in ops_there("status")
    assert "everything is as it was deployed" in ops_there("drift")
    found = json.loads(ops_there("doctor", "--json"))
    assert [each for each in found if each["state"] == "failure"] == []
    # Pulumi's own programs would ask it.
    registry.shell(f"{EXCEPTED.text}\npulumi preview --stack dev", env=env)


def set_provider(registry, key, value):
    """Change a setting of a provider in the stack file."""
    content = yaml.safe_load(registry.settings_text())
    content["config"][key] = value
    registry.restore(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.parametrize(("server", "command"), [("nomad", "plan"), ("consul", "drift"), ("vault", "render")])
def test_a_server_that_is_down_is_said_in_our_words(registry, server, command):
    before = registry.settings_text()
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        set_provider(registry, f"{server}:address", address)
        try:
            told = ops(registry, command, check=False)
        finally:
            registry.restore(before)

    assert told == (
        f"{server.title()} at {address} does not answer (connection refused): "
        f"start it, or set {server}:address\n"
    )


def require_told_and_mended(registry, *problems, secret=None):
    """Plan and drift say them before the engine fails by them; once without a refresh, and all is well."""
    for command in ("plan", "drift"):
        told = ops(registry, command, check=False)
        assert secret is None or secret not in told
        assert all(problem in told for problem in problems), told
        assert told.endswith("\n  pulumi up --refresh=false --stack dev\n")
    registry.preview(check=False)
    registry.documented("docs/troubleshooting.md", "pulumi up --refresh=false")
    assert registry.changes() == {}
    assert "everything is as it was deployed" in ops(registry, "drift")


def test_servers_that_moved_after_the_deploy_are_said_and_the_command_that_mends_it(registry):
    before = registry.settings_text()
    servers = {name: getattr(registry.cluster, f"{name}_address") for name in ("nomad", "consul", "vault")}
    try:
        with ExitStack() as stack:
            moved = {name: stack.enter_context(other_address(url)) for name, url in servers.items()}
            for name, address in moved.items():
                set_provider(registry, f"{name}:address", address)
            registry.up()
    finally:
        registry.restore(before)

    require_told_and_mended(
        registry,
        *(f"{name.title()} at {url} does not answer (connection refused)\n" for name, url in moved.items()),
    )


def test_a_token_that_ended_after_the_deploy_is_said_and_the_command_that_mends_it(registry):
    before = registry.settings_text()
    token = registry.run("bao", "token", "create", "-field=token", "-policy=root").strip()
    try:
        registry.run("pulumi", "config", "set", "--secret", "vault:token", "--stack", "dev", text=token)
        registry.up()
    finally:
        registry.restore(before)
    registry.run("bao", "token", "revoke", token)

    told = f"Vault at {registry.cluster.vault_address} answers 403 to the token of then: "
    require_told_and_mended(registry, told, secret=token)


def contents(registry, name):
    shown = registry.run("bao", "kv", "get", "-format=json", "-mount=secret", f"docker-registry/{name}")
    return json.loads(shown)["data"]["data"]


def changed_by_somebody(registry, name, how):
    secret = ("-mount=secret", f"docker-registry/{name}")
    if how == "changed":
        registry.run("bao", "kv", "put", *secret, "htpasswd=mallory:secret-of-theirs")
        return
    versions = registry.run("bao", "kv", "metadata", "get", "-format=json", *secret)
    newest = json.loads(versions)["data"]["current_version"]
    if how == "deleted":
        registry.run("bao", "kv", "delete", *secret)
    else:
        registry.run("bao", "kv", "destroy", f"-versions={newest}", *secret)


@pytest.mark.parametrize(("name", "how"), [("users", "changed"), ("users", "deleted"), ("http", "destroyed")])
def test_a_secret_that_somebody_changed_is_named_and_written_again(registry, name, how):
    was, allocation = contents(registry, name), registry.allocation()
    changed_by_somebody(registry, name, how)

    told = ops(registry, "drift", "--json", check=False)

    [drifted] = json.loads(told)
    assert drifted["resource"] == f"vault:SecretV2 registry-access-{name}"
    assert drifted["what"] == [
        "has other contents in Vault than were deployed"
        if how == "changed"
        else "its newest version in Vault is deleted or destroyed"
    ]
    assert not any(value in told for value in (*was.values(), "secret-of-theirs"))
    registry.shell(drifted["fix"])
    assert contents(registry, name) == was
    assert "everything is as it was deployed" in ops(registry, "drift")
    assert registry.allocation() == allocation, "it runs on"
    registry.wait_until_served()
