"""Every image that a job runs can be pinned by its digest, and come from a registry of one's own."""

import json

import pytest
import upstream
from waiting import until

from config.sections.backup import RESTIC_IMAGE
from config.sections.registry import SCRIPT_IMAGE
from devcluster.stack import STACK

PAGE = "docs/security.md"


@pytest.fixture
def images(deployment, tmp_path):
    """A registry that nodes reach without a log-in."""
    port = deployment.ports.registry + 70
    with upstream.registry(tmp_path / "images", port):
        yield f"127.0.0.1:{port}"


def test_images_by_their_digests_run_whatever_their_tags_are_later(deployment, images):
    before = deployment.settings_text()
    digests = {}
    for source, path in (
        ("registry:3", "library/registry:3.1.1"),
        (SCRIPT_IMAGE, "library/python:3"),
        (RESTIC_IMAGE, "restic/restic:0"),
    ):
        copy = f"{images}/{path}"
        deployment.docker("tag", source, copy)
        deployment.docker("push", copy)
        deployment.docker("rmi", copy)
        digests[path.partition(":")[0]] = deployment.crane("digest", "--insecure", copy).strip()
    registry, python, restic = digests.values()
    try:
        deployment.change("registry", scriptImage=f"{images}/library/python@{python}")
        backup = {"schedule": "17 2 1 1 *", "image": f"{images}/restic/restic:0@{restic}"}
        deployment.change("maintenance", backup=backup, garbageCollection={"schedule": "17 4 1 1 *"})

        deployment.documented(
            PAGE,
            "crane copy registry:3.1.1 images.lan/library/registry:3.1.1",
            replace={
                "crane copy registry:3.1.1": f"crane copy --insecure {images}/library/registry:3.1.1",
                "crane digest": "crane digest --insecure",
                "images.lan": images,
                "sha256:…": registry,
            },
        )
        deployment.wait_until_served()
        deployment.run("python", "-m", "ops", "gc", "--stack", STACK)
        deployment.run("python", "-m", "ops", "backup", "now", "--stack", STACK)

        assert deployment.changes() == {}
        assert f"{images}/library/registry@{registry}" in digests_of(deployment, "registry")
        assert deployment.doctor()["job-as-wanted"]["state"] == "ok"
    finally:
        deployment.restore(before)
        deployment.up()
        deployment.wait_until_served()


def digests_of(deployment, task):
    """Digests of the image that the container of a task is made from; Nomad makes it by the image's id."""
    until(lambda: deployment.docker("ps", "--quiet", "--filter", f"name={task}-"))
    [found] = json.loads(deployment.containers("--filter", f"name={task}-"))
    return json.loads(deployment.docker("image", "inspect", found["Image"]))[0]["RepoDigests"]
