"""`ops report`: its numbers are the store's, and its page opens in a browser."""

import json
import re
import subprocess

import pytest
from image_store import Store

from jobs.tasks.store_size import readable

BROWSER = "not an origin"
RULE = {"repositories": ["report/*"], "keepNewest": 1}


@pytest.fixture(scope="module")
def store(deployment, tmp_path_factory):
    deployment.wait_until_served()
    deployment.login(deployment.address)
    made = Store(deployment, tmp_path_factory.mktemp("layers"))
    made.push("report/one:0", made.layer(size=30_000))
    shared = made.layer(size=200_000)
    for name in ("report/one:1", "report/two:1"):
        made.push(name, shared, made.layer(size=50_000))
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def registry(deployment, store):
    before = deployment.settings_text()
    deployment.change("maintenance", retention={"rules": [RULE]})  # the report reads it from the stack file
    yield deployment
    deployment.restore(before)


@pytest.fixture(scope="module")
def page(registry):
    registry.documented("docs/operations.md", "python -m ops report")
    return registry.stack.project / "registry.html"


def blobs(registry):
    return list((registry.cluster.instance.registry_volume / "docker/registry/v2/blobs").glob("*/*/*/data"))


def test_the_numbers_are_those_of_the_store(registry, page):
    told = json.loads(registry.run("python", "-m", "ops", "report", "--json", "--stack", "dev"))

    sizes = [file.stat().st_size for file in blobs(registry)]
    names = registry.crane("catalog", registry.address).split()
    tags = [tag for name in names for tag in registry.crane("ls", f"{registry.address}/{name}").split()]
    assert (told["blobs"], told["bytes"]) == (len(sizes), sum(sizes))
    assert [each["repository"] for each in told["repositories"]] == sorted(names)
    assert any(each["bytes"] > 200_000 and each["repositories"] >= 2 for each in told["shared"])

    text = page.read_text()
    shown = dict(re.findall(r'data-total="(\w+)"[^>]*>(\d+)<', text))
    assert shown == {"repositories": str(len(names)), "tags": str(len(tags)), "blobs": str(len(sizes))}
    assert f'title="{sum(sizes)} bytes"' in text


def test_the_page_shows_growth_what_is_shared_and_what_retention_would_remove(registry, store, page):
    told = json.loads(registry.run("python", "-m", "ops", "report", "--json", "--stack", "dev"))
    answer = store.client.get("/report/one/manifests/0")
    manifest = answer.json()
    parts = [len(answer.content), *(each["size"] for each in (manifest["config"], *manifest["layers"]))]
    bytes_on_disk = sum(file.stat().st_size for file in blobs(registry))

    leaving = {each["repository"]: each["leaving"] for each in told["repositories"]}
    assert leaving["report/one"] == {"tags": 1, "bytes": sum(parts)}
    assert leaving["report/two"] is None
    assert told["growth"][-1][1] == bytes_on_disk

    text = page.read_text()
    assert f">1 tags, {readable(sum(parts))}<" in text
    assert f"up to {readable(bytes_on_disk)}." in text
    assert told["shared"] and all(each["digest"][:19] in text for each in told["shared"])


@pytest.fixture
def browse(tmp_path):
    """Open a page; gives its content, what the browser says of it, and the URLs that the page asked for."""

    def open_page(file):
        log = tmp_path / "net.json"
        browser = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
        alone = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
        told = ["--enable-logging=stderr", f"--log-net-log={log}", "--dump-dom"]
        done = subprocess.run(
            [*browser, *alone, *told, file.as_uri()], capture_output=True, text=True, check=True, timeout=180
        )
        events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
        # What the browser asks for by itself, as its updates, has "not an origin".
        asked = {each["url"] for each in events if each.get("initiator", BROWSER) != BROWSER}
        return done.stdout, done.stderr, asked

    return open_page


def test_the_page_opens_in_a_browser_without_an_error_or_a_request_to_another_host(page, browse, tmp_path):
    content, said, asked = browse(page)

    assert "report/one" in content
    assert "CONSOLE" not in said
    assert asked == set()
    other = tmp_path / "other.html"
    other.write_text('<img src="http://elsewhere.example/x.png">')
    assert browse(other)[2] == {"http://elsewhere.example/x.png"}  # it would have been seen
