"""Retention on the cluster: what the rules keep can be pulled afterwards, and what went is what was shown."""

import hashlib
import json
import os
import time

import httpx
import pytest
from documents import block
from waiting import until

DAY = 86_400
PLAN, APPLY = block("docs/retention.md", "python -m ops retention plan").commands
OCI = "application/vnd.oci.image"
NEVER = {"schedule": "17 4 1 1 *"}  # not beside the tests
RULES = [{"repositories": ["ci/*"], "keepTags": ["v*"], "keepNewest": 1}]


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("maintenance", retention={"rules": RULES, "apply": True}, garbageCollection=NEVER)
    deployment.up()
    deployment.wait_until_served()
    yield deployment
    deployment.restore(before)
    deployment.up()


@pytest.fixture(scope="module")
def client(registry):
    with httpx.Client(
        base_url=f"http://{registry.address}", auth=("demo", registry.password), timeout=30
    ) as made:
        yield made


class Pusher:
    """Pushes small images of known content, some days ago."""

    def __init__(self, client, volume):
        self.client, self.volume = client, volume

    def blob(self, repository, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        upload = self.client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status().headers["Location"]
        self.client.put(f"{upload}&digest={digest}", content=content).raise_for_status()
        return {"mediaType": f"{OCI}.layer.v1.tar", "digest": digest, "size": len(content)}

    def manifest(self, repository, content, *, kind="manifest", tag=None, days=0):
        text = json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}.{kind}.v1+json", **content}).encode()
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        self.client.put(
            f"/v2/{repository}/manifests/{tag or digest}",
            content=text,
            headers={"Content-Type": f"{OCI}.{kind}.v1+json"},
        ).raise_for_status()
        home = self.volume / "docker/registry/v2/repositories" / repository / "_manifests"
        links = [home / f"revisions/{digest.replace(':', '/')}/link"]
        links += [home / f"tags/{tag}/current/link"] if tag else []
        for link in links:
            os.utime(link, (time.time() - days * DAY,) * 2)
        return {"mediaType": f"{OCI}.{kind}.v1+json", "digest": digest, "size": len(text)}

    def image(self, repository, layer, **options):
        config = self.blob(repository, b"{}") | {"mediaType": f"{OCI}.config.v1+json"}
        content = {"config": config, "layers": [self.blob(repository, layer.encode())]}
        if subject := options.pop("subject", None):
            content["subject"] = subject
        return self.manifest(repository, content, **options)

    def index(self, repository, children, **options):
        return self.manifest(repository, {"manifests": children}, kind="index", **options)


def pull(client, repository, reference):
    """Pull all that comes with a reference: True if everything is there."""
    found = client.get(
        f"/v2/{repository}/manifests/{reference}",
        headers={"Accept": f"{OCI}.index.v1+json, {OCI}.manifest.v1+json"},
    )
    if found.status_code != 200:
        return False
    content = found.json()
    parts = [*content.get("layers", ()), *([content["config"]] if "config" in content else ())]
    blobs = [client.get(f"/v2/{repository}/blobs/{part['digest']}").status_code == 200 for part in parts]
    children = [pull(client, repository, child["digest"]) for child in content.get("manifests", ())]
    return all([*blobs, *children])


def tags(client, repository):
    return sorted(client.get(f"/v2/{repository}/tags/list").json()["tags"])


def ops(registry, *arguments, **options):
    return registry.run("python", "-m", "ops", "retention", *arguments, "--stack", "dev", **options)


@pytest.fixture(scope="module")
def images(registry, client):
    """Two old images that stay, one of them multi-arch and signed; one that goes with its signature."""
    push = Pusher(client, registry.cluster.instance.registry_volume)
    push.image("base/python", "base", tag="old", days=90)
    push.image("ci/app", "one", tag="v1", days=90)
    parts = [push.image("ci/app", f"two {each}", days=80) for each in ("amd64", "arm64")]
    index = push.index("ci/app", parts, tag="v2", days=80)
    gone = push.image("ci/app", "seven", tag="pr-7", days=70)
    for subject in (index, gone):
        name = subject["digest"].replace(":", "-")
        sbom = push.image("ci/app", f"sbom of {name}", subject=subject, days=70)
        push.index("ci/app", [sbom], tag=name, days=70)
        push.image("ci/app", f"signature of {name}", tag=f"{name}.sig", days=70)
    push.image("ci/app", "eight", tag="pr-8", days=60)
    return {"kept": index["digest"].replace(":", "-"), "gone": gone["digest"].replace(":", "-"), "push": push}


@pytest.fixture(scope="module")
def shown(registry, images):
    started = time.monotonic()
    made = json.loads(ops(registry, "plan", "--json"))
    print(f"planned in {time.monotonic() - started:.1f} s")
    return made


def test_a_plan_tells_what_goes_and_changes_nothing(client, images, shown):
    (app,) = shown["repositories"]

    assert app["repository"] == "ci/app"
    assert {tag["name"] for tag in app["tags"]} == {"pr-7", images["gone"], f"{images['gone']}.sig"}
    assert len(app["manifests"]) == 4  # the image, its SBOM, the index of its referrers, its signature
    assert app["bytes"] > 0
    assert pull(client, "ci/app", "pr-7")


def test_a_no_to_the_question_changes_nothing(registry, client, shown):
    told = ops(registry, "apply", text="n\n", check=False)

    assert "Remove 3 tags and 4 manifests" in told
    assert pull(client, "ci/app", "pr-7")


def test_a_plan_that_is_not_what_was_shown_is_not_carried_out(registry, client, shown):
    url = f"{registry.cluster.nomad_address}/v1"
    meta = {"at": str(shown["summary"]["at"]), "plan": "0" * 16}
    run = httpx.post(f"{url}/job/docker-registry-retention-apply/dispatch", json={"Meta": meta}).json()
    job = run["DispatchedJobID"].replace("/", "%2F")

    def ended():
        """The run, and the second allocation that ends the freeze of one that failed."""
        made = [each["ClientStatus"] for each in httpx.get(f"{url}/job/{job}/allocations").json()]
        return made if "complete" in made or made == ["failed", "failed"] else None

    assert until(ended) == ["failed", "failed"]
    registry.wait_until_writable()
    assert pull(client, "ci/app", "pr-7")


@pytest.fixture(scope="module")
def applied(registry, client, shown):
    started = time.monotonic()
    told = registry.shell(APPLY, text="y\n")
    print(f"applied in {time.monotonic() - started:.1f} s")
    registry.wait_until_served()
    return told


def test_apply_removes_what_was_shown(client, images, applied):
    assert "removed 3 tags and 4 manifests" in applied
    assert tags(client, "ci/app") == ["pr-8", images["kept"], f"{images['kept']}.sig", "v1", "v2"]
    assert not pull(client, "ci/app", images["gone"].replace("-", ":"))


def test_what_stays_is_pulled_whole(client, images, applied):
    assert all(pull(client, "ci/app", tag) for tag in tags(client, "ci/app"))
    assert pull(client, "base/python", "old")


def test_a_second_run_removes_nothing(registry, client, applied):
    before = tags(client, "ci/app")

    assert registry.shell(PLAN) == "nothing goes\n"
    assert tags(client, "ci/app") == before


def test_pushes_work_afterwards_a_removed_image_included(client, images, applied):
    images["push"].image("ci/app", "seven", tag="v7")

    assert pull(client, "ci/app", "v7")


def test_rules_are_shown_only_when_they_are_deployed(registry):
    registry.change(
        "maintenance", retention={"rules": [{"repositories": ["*"], "keepNewest": 1}], "apply": True}
    )
    try:
        assert "are not deployed yet: `pulumi up`" in ops(registry, "plan", check=False)
    finally:
        registry.change("maintenance", retention={"rules": RULES, "apply": True})


def test_the_collection_removes_tags_first_and_then_their_layers(registry, client, images, applied):
    layer = images["push"].blob("ci/app", b"nine")["digest"]
    images["push"].image("ci/app", "nine", tag="pr-9", days=50)
    assert "nothing goes" not in ops(registry, "plan")

    registry.run("python", "-m", "ops", "gc", "--yes", "--stack", "dev")
    registry.wait_until_served()
    assert "pr-9" not in tags(client, "ci/app")
    assert client.head(f"/v2/ci/app/blobs/{layer}").status_code == 404
    assert all(pull(client, "ci/app", tag) for tag in tags(client, "ci/app"))
