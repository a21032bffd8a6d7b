"""The jobs around Vault-signed tokens: the key set of the registry, and the auth file of Nomad's clients."""

import hashlib
import json
import os
import stat
import time

import httpx
import hvac
import pytest
from signed_tokens import decoded
from vault_people import person, registry_token
from waiting import until

from devcluster.stack import REPOSITORY

GRANTS = {
    "ci-app": {"repositories": {"ci/app": ["pull", "push"], "ci/other": ["pull", "push"]}},
    "nodes": {"repositories": {"ci/app": ["pull"]}, "ttl": "1m"},
}
SECRET = "docker-registry/jwks"
JOBS = ("docker-registry-keys", "docker-registry-pull")


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("auth", mode="vault", users=None, grants=GRANTS, nodes={"grant": "nodes"})
    deployment.up()
    deployment.wait_until_served()
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()
    auth_file(deployment).write_text("{}")  # else Nomad goes on logging in with a token that has ended


@pytest.fixture(scope="module")
def vault(registry):
    return hvac.Client(url=registry.cluster.vault_address, token=registry.cluster.vault_token)


@pytest.fixture(scope="module")
def nomad(registry):
    with httpx.Client(base_url=f"{registry.cluster.nomad_address}/v1", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def robots_token(registry):
    return person(registry.cluster, "robot", "docker-registry-ci-app")


def token_of(registry, robots_token):
    return registry_token(registry.cluster, robots_token, "docker-registry-ci-app")


def stored(vault):
    """Ids of the keys that the registry knows, and the version of the secret."""
    found = vault.secrets.kv.v2.read_secret_version(path=SECRET, raise_on_deleted_version=True)["data"]
    return {key["kid"] for key in json.loads(found["data"]["jwks"])["keys"]}, found["metadata"]["version"]


def published(registry):
    answer = httpx.get(f"{registry.cluster.vault_address}/v1/identity/oidc/.well-known/keys")
    return {key["kid"] for key in answer.json()["keys"]}


def refresh(registry, check=True):
    return registry.run("python", "-m", "ops", "keys", "refresh", "--stack", "dev", check=check)


def served(registry, token):
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://{registry.address}/v2/ci/app/tags/list"
    try:
        return httpx.get(url, headers=headers).status_code != 401
    except httpx.TransportError:  # it restarts at the moment
        return False


def test_the_registry_knows_vaults_keys_when_it_starts(registry, vault):
    kids, _ = stored(vault)

    assert kids == published(registry)
    assert len(kids) == 2  # the signing key, and the one that comes next


def test_without_a_new_key_a_run_writes_nothing_and_the_registry_goes_on(registry, vault, nomad):
    before, allocation = stored(vault), nomad.get(f"/allocation/{registry.allocation()}").json()

    assert "unchanged: " in refresh(registry)
    assert stored(vault) == before
    after = nomad.get(f"/allocation/{registry.allocation()}").json()
    assert after["TaskStates"]["registry"]["Restarts"] == allocation["TaskStates"]["registry"]["Restarts"]


@pytest.mark.parametrize("how", ["deleted", "gone with all its versions"])
def test_keys_that_somebody_removed_are_named_and_written_again(registry, vault, how):
    kids, _ = stored(vault)
    if how == "deleted":
        vault.secrets.kv.v2.delete_latest_version_of_secret(path=SECRET)
    else:
        vault.secrets.kv.v2.delete_metadata_and_all_versions(path=SECRET)

    def drift(check=True):
        return json.loads(
            registry.run("python", "-m", "ops", "drift", "--json", "--stack", "dev", check=check)
        )

    [drifted] = drift(check=False)

    assert drifted["what"] == ["its newest version in Vault is deleted or destroyed"]
    registry.shell(drifted["fix"])
    assert stored(vault)[0] == kids
    assert drift() == []


def auth_file(registry):
    return registry.cluster.instance.auth_volume / "config.json"


def auths(registry):
    return json.loads(auth_file(registry).read_text()).get("auths", {})


def test_every_clients_auth_file_has_a_token_that_is_renewed_before_it_ends(registry):
    until(lambda: registry.address in auths(registry))
    assert set(auths(registry)) == {registry.address, registry.tls_address}
    assert stat.S_IMODE(auth_file(registry).stat().st_mode) == 0o600

    first = auths(registry)[registry.address]["registrytoken"]
    assert served(registry, first)
    left = decoded(first)["exp"] - time.time()
    until(lambda: auths(registry)[registry.address]["registrytoken"] != first, seconds=left)


def run_job(registry, nomad, image):
    """Let a Nomad client run an image once; gives the allocation when it ended."""
    task = {
        "Name": "job",
        "Driver": "docker",
        "Config": {"image": image, "entrypoint": ["true"]},
        "RestartPolicy": {"Attempts": 0, "Mode": "fail"},
    }
    group = {"Name": "job", "Tasks": [task], "ReschedulePolicy": {"Attempts": 0, "Unlimited": False}}
    job = {"ID": "puller", "Type": "batch", "Datacenters": ["dc1"], "TaskGroups": [group]}
    nomad.post("/jobs", json={"Job": job}).raise_for_status()
    try:
        until(lambda: ended(nomad))
        return nomad.get("/job/puller/allocations").json()[0]
    finally:
        nomad.delete("/job/puller", params={"purge": "true"})


def ended(nomad):
    return any(
        each["ClientStatus"] in ("complete", "failed") for each in nomad.get("/job/puller/allocations").json()
    )


@pytest.fixture
def private_image(registry, robots_token, tmp_path):
    """Push an image to a repository, and leave no copy of it on the client."""

    def push(repository):
        token = token_of(registry, robots_token)
        (tmp_path / "config.json").write_text(
            json.dumps({"auths": {registry.address: {"registrytoken": token}}})
        )
        reference = f"{registry.address}/{repository}:private"
        registry.docker("tag", "registry:3", reference)
        env = {"DOCKER_CONFIG": str(tmp_path)}
        registry.run("docker", "push", "--quiet", reference, env=env)
        registry.docker("rmi", reference)
        return reference

    return push


def test_a_nomad_client_pulls_a_private_image_of_its_grant(registry, nomad, private_image):
    until(lambda: registry.address in auths(registry))

    allocation = run_job(registry, nomad, private_image("ci/app"))
    assert allocation["ClientStatus"] == "complete", allocation["TaskStates"]


def test_a_nomad_client_pulls_nothing_beyond_its_grant(registry, nomad, private_image):
    allocation = run_job(registry, nomad, private_image("ci/other"))

    assert allocation["ClientStatus"] == "failed"
    assert "denied" in json.dumps(allocation["TaskStates"])


def test_no_token_is_in_a_containers_settings_nor_in_a_job(registry, nomad):
    token = auths(registry)[registry.address]["registrytoken"]
    shown = registry.containers("--all")
    shown += "".join(nomad.get(f"/job/{job}").text for job in JOBS)

    assert "jobs.tasks.refresh_pull_auth" in shown
    assert "VAULT_TOKEN" not in shown and token not in shown


@pytest.fixture(scope="module")
def tokens(registry, vault, robots_token):
    """One token of before and one of after two rotations; the first one's new key was published ahead."""
    old = token_of(registry, robots_token)
    for _ in range(2):
        vault.write_data("identity/oidc/key/docker-registry/rotate")
    return old, token_of(registry, robots_token)


def test_after_rotations_a_run_adds_the_new_keys_and_keeps_those_that_still_verify(registry, vault, tokens):
    before, version = stored(vault)
    assert not served(registry, tokens[1])
    found = registry.doctor()["keys-current"]
    assert (found["state"], found["fix"]) == ("failure", "python -m ops keys refresh --stack dev")

    assert "changed: " in refresh(registry)
    assert stored(vault) == (published(registry), version + 1)
    assert registry.doctor()["keys-current"]["state"] == "ok"
    assert published(registry) > before


def test_a_preview_shows_nothing_after_the_job_wrote(registry):
    registry.run("pulumi", "preview", "--stack", "dev", "--expect-no-changes")


def test_a_run_that_vault_refuses_is_told_in_its_own_words(registry, vault):
    vault.sys.delete_policy("docker-registry-keys")
    try:
        told = refresh(registry, check=False)
        assert "job docker-registry-keys/periodic-" in told
        assert "GET secret/data/docker-registry/jwks answered 403" in told
        assert "permission denied" in told
    finally:
        registry.up()
    assert "unchanged: " in refresh(registry)


def test_the_registry_takes_the_new_keys_by_itself_and_loses_no_push(registry, tokens):
    old, new = tokens
    blob = os.urandom(1_000_000)
    upload = until(lambda: begun(registry, old, blob[:400_000]))

    # Nomad reads a secret without lease again after 5 minutes at most (consul-template, lease_duration).
    until(lambda: served(registry, new), seconds=400)
    until(lambda: served(registry, old))
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    done = session(registry, new).put(f"{upload}&digest={digest}", content=blob[400_000:])
    assert done.status_code == 201, done.text


def session(registry, token):
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"http://{registry.address}", headers=headers, timeout=30)


def begun(registry, token, content):
    """Begin an upload with this much; gives where it goes on, or None while the registry restarts."""
    try:
        upload = session(registry, token).post("/v2/ci/app/blobs/uploads/").headers["Location"]
        return session(registry, token).patch(upload, content=content).headers["Location"]
    except (httpx.TransportError, KeyError):
        return None


def test_a_stolen_key_goes_by_the_documented_way(registry, vault, robots_token):
    stolen = decoded(token_of(registry, robots_token), part=0)["kid"]
    step = "vault write identity/oidc/key/docker-registry/rotate verification_ttl=0"
    assert step in (REPOSITORY / "docs" / "security.md").read_text()
    known = published(registry)

    for _ in range(2):
        registry.run("sh", "-ec", step.replace("vault write", "bao write"))
    refresh(registry)

    kids, _ = stored(vault)
    assert stolen not in kids
    following = decoded(token_of(registry, robots_token), part=0)["kid"]
    assert following not in known, "whoever read Vault's keys read the next one too"


def test_another_auth_mode_leaves_neither_jobs_nor_keys_nor_log_ins_behind(registry, vault, nomad):
    registry.change("auth", mode="none", grants=None, nodes=None, allowAnonymous=True)
    registry.up()

    for job in JOBS:
        assert nomad.get(f"/job/{job}").status_code == 404
    with pytest.raises(hvac.exceptions.InvalidPath):
        vault.secrets.kv.v2.read_secret_metadata(path=SECRET)
    assert not set(JOBS) & set(vault.sys.list_policies()["data"]["policies"])
    assert "docker-registry-approle/" not in vault.sys.list_auth_methods()["data"]
