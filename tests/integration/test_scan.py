"""Scans: Trivy reads the newest images from the volume, and a check in Consul says what it found.

Trivy's database of vulnerabilities cannot be had here: what runs is the search for secrets, and the SBOM.
"""

import hashlib
import io
import json
import re
import secrets
import string
import tarfile

import httpx
import pytest
from documents import block
from image_store import INDEX, Store
from waiting import until

from devcluster import images
from devcluster.stack import REPOSITORY
from devcluster.trivy_image import NAME

PAGE = "docs/scan.md"
SHOW, NOW, AS_JSON = block(PAGE, "python -m ops scan").commands
JOB, SERVICE = "docker-registry-scan", "registry-scan"
SCAN = {"scanners": ["secret"], "threshold": "high", "schedule": "17 5 1 1 *"}  # not beside the tests
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"  # of what crane appends
DPKG = "Package: openssl\nStatus: install ok installed\nVersion: 3.0.1-1\nArchitecture: amd64\n"


@pytest.fixture(scope="module")
def registry(deployment):
    images.ensure(deployment.cluster.docker_host, [NAME])
    before = deployment.settings_text()
    deployment.change("maintenance", scan=SCAN)
    deployment.up()
    deployment.wait_until_served()
    deployment.login(deployment.address)
    yield deployment
    deployment.restore(before)
    deployment.up()


@pytest.fixture(scope="module")
def push(registry, tmp_path_factory):
    """Push an image with these files; gives its digest."""

    def push(name, files):
        layer = tmp_path_factory.mktemp("image") / "layer.tar"
        with tarfile.open(layer, "w") as archive:
            for path, text in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        reference = f"{registry.address}/{name}"
        registry.crane("append", "--new_layer", str(layer), "--new_tag", reference)
        return registry.crane("digest", reference).split()[-1]

    return push


@pytest.fixture(scope="module")
def token():
    """What Trivy takes for a token of GitHub's."""
    letters = string.ascii_letters + string.digits
    return "ghp_" + "".join(secrets.choice(letters) for _ in range(36))


@pytest.fixture(scope="module")
def leaking(push, token):
    """An image with a token and a package, newer than one of the same repository with nothing in it."""
    push("scan/leaking:old", {"app/hello": "hello, world\n"})
    files = {
        "etc/debian_version": "12.5\n",
        "var/lib/dpkg/status": DPKG,
        "app/settings.env": f"GITHUB_TOKEN={token}\n",
    }
    return push("scan/leaking:new", files)


def check(registry, status):
    """What the scan told Consul, whose catalogue has it a moment later."""
    url = f"{registry.cluster.consul_address}/v1/health/checks/{SERVICE}"
    (found,) = until(lambda: [each for each in httpx.get(url).json() if each["Status"] == status])
    return found["Output"]


def last_allocation(registry):
    nomad = registry.cluster.nomad_address
    children = httpx.get(f"{nomad}/v1/jobs", params={"prefix": f"{JOB}/"}).json()
    newest = max(children, key=lambda each: each["SubmitTime"])
    (allocation,) = httpx.get(f"{nomad}/v1/job/{newest['ID'].replace('/', '%2F')}/allocations").json()
    return allocation["ID"]


def reports(registry):
    """What is left in the folder of the last run, by name."""
    files = f"{registry.cluster.nomad_address}/v1/client/fs"
    allocation = last_allocation(registry)
    listed = httpx.get(f"{files}/ls/{allocation}", params={"path": "alloc/reports"}).json()
    return {
        each["Name"]: httpx.get(
            f"{files}/cat/{allocation}", params={"path": f"alloc/reports/{each['Name']}"}
        ).text
        for each in listed
        if not each["IsDir"]
    }


def test_images_without_secrets_are_good(registry, push):
    push("scan/good:1", {"app/hello": "hello, world\n"})

    told = registry.shell(NOW)
    assert "scan/good:1" in told
    assert check(registry, "passing").endswith(" with findings at or above high")


def test_a_secret_in_a_newest_image_turns_the_check_critical_and_is_not_repeated(registry, leaking, token):
    told = registry.shell(NOW, check=False)

    assert "scan/leaking:new: critical github-pat in /app/settings.env:1" in told
    assert "scan/leaking:old" not in told
    output = check(registry, "critical")
    assert output.splitlines()[1] == "scan/leaking:new: 1"
    assert token not in told + output + "".join(reports(registry).values())


def test_the_last_report_can_be_had_again_for_people_and_for_programs(registry, leaking):
    assert "github-pat" in registry.shell(SHOW, check=False)

    found = json.loads(registry.shell(AS_JSON, check=False))
    (image,) = [each for each in found["images"] if each["repository"] == "scan/leaking"]
    assert (image["tag"], image["digest"], image["counts"]["critical"]) == ("new", leaking, 1)
    assert image["packages"] == 1


@pytest.fixture
def put_index(registry, tmp_path):
    """Push an index as anybody may write one; its descriptor."""
    client = Store(registry, tmp_path).client

    def put(name, children):
        repository, tag = name.split(":")
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
        url, headers = f"/{repository}/manifests/{tag}", {"Content-Type": INDEX}
        client.put(url, content=text, headers=headers).raise_for_status()
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        return {"mediaType": INDEX, "size": len(text), "digest": digest}

    with client:
        yield put


def test_an_index_of_thousands_of_equal_parts_is_scanned_once_and_does_not_act_on_the_terminal(
    registry, push, put_index, leaking
):
    image = {"mediaType": MANIFEST, "size": 500, "digest": push("scan/many:image", {"app/hello": "hello\n"})}
    forged = "\x1b[2J[red]linux\nall is well\u202e"
    part = {**image, "platform": {"os": forged, "architecture": "amd64"}}
    put_index("scan/many:latest", [part] * 4000)
    inner = {**put_index("scan/many:inner", [part] * 4000), "platform": part["platform"]}
    put_index("scan/many:outer", [inner] * 4000)

    told = registry.shell(NOW, check=False)
    [line] = [line for line in told.splitlines() if line.startswith("scan/many:outer")]
    assert r"(\x1b[2J[red]linux\nall is well\u202e/amd64)" in line
    assert "\x1b" not in told and "\u202e" not in told and "\nall is well" not in told
    found = json.loads(registry.shell(AS_JSON, check=False))
    assert [each["platform"] for each in found["images"] if each["repository"] == "scan/many"] == [
        f"{forged}/amd64"
    ]


def test_indexes_within_indexes_are_followed_to_a_depth_and_the_rest_is_told(registry, push, put_index):
    part = {"mediaType": MANIFEST, "size": 500, "digest": push("scan/deep:0", {"app/hello": "hello\n"})}
    for level in range(1, 11):
        platforms = ({"os": "linux", "architecture": each} for each in ("amd64", "arm64"))
        part = put_index(f"scan/deep:{level}", [{**part, "platform": each} for each in platforms])

    told = registry.shell(NOW, check=False)
    lines = [line for line in told.splitlines() if line.startswith("scan/deep:10")]
    reason = "its indexes are more than 3 deep: what is below is not scanned"
    assert lines == [f"scan/deep:10 could not be scanned: {reason}"]


def test_each_image_has_an_sbom(registry, leaking):
    runs, allocations, report, sbom = block(PAGE, "nomad job status docker-registry-scan").commands
    names = re.findall(r"docker-registry-scan/periodic-\d+", registry.shell(runs))
    listed = registry.shell(allocations, replace={"docker-registry-scan/periodic-1790000000": max(names)})
    allocation = last_allocation(registry)
    assert allocation[:8] in listed
    here = {"ALLOCATION": allocation, "DIGEST": leaking.partition(":")[2]}

    assert "github-pat" in registry.shell(report, replace=here)
    sbom = json.loads(registry.shell(sbom, replace=here))
    assert sbom["bomFormat"] == "CycloneDX"
    assert "pkg:deb/debian/openssl@3.0.1-1" in " ".join(each.get("purl", "") for each in sbom["components"])


def test_the_registry_works_on_and_its_images_stay_as_they_are(registry, leaking, push):
    volume = registry.cluster.instance.registry_volume
    before = registry.allocation(), {each: each.stat().st_mtime_ns for each in volume.rglob("*")}

    registry.shell(NOW, check=False)
    assert (registry.allocation(), {each: each.stat().st_mtime_ns for each in volume.rglob("*")}) == before
    push("scan/good:2", {"app/hello": "hello again\n"})


def test_a_preview_shows_nothing_after_scans_ran(registry):
    registry.run("pulumi", "preview", "--stack", "dev", "--expect-no-changes")


def test_without_scans_in_the_settings_the_job_and_its_check_are_gone(registry):
    before = registry.settings_text()
    try:
        registry.change("maintenance", scan=None)
        registry.up()
        assert httpx.get(f"{registry.cluster.nomad_address}/v1/job/{JOB}").status_code == 404
        url = f"{registry.cluster.consul_address}/v1/health/checks/{SERVICE}"
        until(lambda: httpx.get(url).json() == [])  # the catalogue has it a moment later
    finally:
        registry.restore(before)


def test_the_page_about_scans_names_the_job_and_the_check():
    text = (REPOSITORY / "docs" / "scan.md").read_text()
    assert f"nomad/jobs/{JOB}" in text
    assert SERVICE in text
