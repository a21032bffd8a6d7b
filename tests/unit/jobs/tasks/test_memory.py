"""The worst manifests that anybody may push, read by every script with the memory that its task has."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from jobs.garbage_collection import collection_job, prediction_job
from jobs.mirrors import MirrorsGrant, mirrors_job
from jobs.retention import plan_job
from jobs.scan import scan_job
from jobs.store_reading import store_reading_job
from jobs.tasks.manifest_reader import LONGEST

PROJECT = Path(__file__).parents[4]
PYTHON = 24  # MiB; what it takes itself, with the modules of a script
# Prints the most memory that it had, in MiB, as the last line.
RUN = """
import os, sys
{code}
with open("/proc/self/status") as status:
    print(int(status.read().split("VmHWM:")[1].split()[0]) // 1024)
"""


def filled(start, items, end):
    """Write as many of these as fit into the longest manifest."""
    left, chosen = LONGEST - len(start) - len(end), []
    for item in items:
        left -= len(item) + 1
        if left < 0:
            break
        chosen.append(item)
    return start + b",".join(chosen) + end


def numbered(item):
    return (item % number for number in range(LONGEST))


@cache
def worst(kind):
    """Make a manifest of 4 MiB that the registry takes."""
    head, digest = b'{"schemaVersion":2,', b'"digest":"sha256:%064x"'
    layers, index = head + b'"layers":[', head + b'"manifests":['
    made = {
        "lists": lambda: filled(head + b'"x":[', LONGEST * [b"[]"], b"]}"),
        "objects": lambda: filled(head + b'"x":[', LONGEST * [b'{"":{}}'], b"]}"),
        "deep": lambda: filled(head + b'"x":[', 300 * [9990 * b"[" + 9990 * b"]"], b"]}"),
        "empty descriptors": lambda: filled(layers, LONGEST * [b"{}"], b"]}"),
        "media types": lambda: filled(layers, numbered(b'{"mediaType":"%d"}'), b"]}"),
        "platforms": lambda: filled(index, numbered(b'{"platform":{"os":"%d"}}'), b"]}"),
        "layers": lambda: filled(layers, numbered(b"{" + digest + b"}"), b"]}"),
        "children": lambda: filled(
            index, numbered(b"{" + digest + b',"platform":{"os":"x","architecture":"y"}}'), b"]}"
        ),
        "keys": lambda: filled(head, numbered(b'"%d":0'), b"}"),
        "annotations": lambda: filled(head + b'"annotations":{', numbered(b'"%d":""'), b"}}"),
        "bytes": lambda: head + b'"annotations":{"x":"' + (LONGEST - 100) * b"\xff" + b'"}}',
        "escapes": lambda: head + b'"mediaType":"\xf0\x9f\x98\x80' + 600_000 * b"\\u0041" + b'"}',
        "number": lambda: head + b'"x":' + (LONGEST - 100) * b"9" + b"}",
    }
    return made[kind]()


def peak(code, tmp_path, **environment):
    """Run a program; the most memory that it had, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(code=code)],
        cwd=PROJECT,
        env={"PYTHONPATH": str(PROJECT), "NOMAD_ALLOC_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "kind",
    [
        "lists",
        "objects",
        "deep",
        "empty descriptors",
        "media types",
        "platforms",
        "layers",
        "children",
        "keys",
        "annotations",
        "bytes",
        "escapes",
        "number",
    ],
)
def test_the_worst_manifest_is_read_in_little_memory(tmp_path, kind):
    file = tmp_path / "manifest"
    file.write_bytes(worst(kind))
    assert file.stat().st_size <= LONGEST

    code = f"""
from jobs.tasks.manifest_reader import read
read(open({str(file)!r}, "rb").read())
"""
    assert peak(code, tmp_path) < PYTHON + 48


@pytest.fixture
def settings(read_settings):
    return read_settings(
        maintenance={
            "garbageCollection": {"schedule": "1 2 * * *"},
            "retention": {"rules": [{"repositories": ["*"], "keepNewest": 1}]},
            "scan": {"schedule": "1 2 * * *"},
        },
        mirrors=[
            {
                "name": "docker-hub",
                "upstream": "https://registry-1.docker.io",
                "port": 5010,
                "maxSize": "1GiB",
            }
        ],
    )


@pytest.fixture
def store(images, tmp_path):
    """A store with them, and one image of ours."""
    for kind in ("lists", "children", "annotations", "bytes"):
        digest = images.blob(worst(kind))
        for tag in ("1", "2"):
            images.tag(f"worst/{kind}", tag, digest)
        revision = images.manifests(f"worst/{kind}") / "revisions" / digest.replace(":", "/")
        revision.mkdir(parents=True)
        (revision / "link").write_text(digest)
    images.image("ci/app", "1", "layer")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frozen").touch()
    (tmp_path / "output").write_text("\n0 blobs marked, 0 blobs and 0 manifests eligible for deletion\n")
    return images.directory


RULES = json.dumps([{"repositories": ["*"], "keepNewest": 1}])
COLLECTION = {"VERSION": "3", "DELETE_UNTAGGED": "true"}


@pytest.mark.parametrize(
    ("script", "environment"),
    [
        ("evict", {"LIMIT": "1"}),
        ("upgrade_check", {}),
        ("report", {"RULES": RULES}),
        ("retention", {"MODE": "plan", "RULES": RULES}),
        ("check_collection", COLLECTION),
        ("prepare_collection", COLLECTION),
        ("predict_collection", {}),
        ("scan", {}),
        ("drill", {}),
    ],
)
def test_every_script_reads_them_with_the_memory_of_its_task(script, environment, store, settings, tmp_path):
    # Trivy and restic take most of the memory of those that start them.
    parts = {
        "scan": """
from pathlib import Path
from jobs.tasks.scan_targets import targets
from jobs.tasks.store import Store
list(targets(Store(Path(os.environ["STORE"])), 5))
""",
        "drill": """
from pathlib import Path
from jobs.tasks.blob_check import check, files_below, manifests_in
root = Path(os.environ["STORE"], "docker/registry/v2")
check(files_below(root), manifests_in(files_below(root)))
""",
    }
    code = parts.get(script, f"from jobs.tasks import {script}\nassert {script}.main(os.environ) == 0")

    used = peak(code, tmp_path, STORE=str(store), OUTPUT=str(tmp_path / "output"), **environment)
    assert used < memory(settings, script)


def memory(settings, script):
    """Give the MiB that Nomad lets a script's task have, or half of what it shares with another program."""
    volume = settings.volume
    collection = {"volume_source": volume, "config_path": None, "login": None}
    jobs = {
        "evict": lambda: mirrors_job(
            settings, volume_source="cache", grant=MirrorsGrant(login=None, upstream_paths={})
        ),
        "retention": lambda: plan_job(settings, volume_source=volume),
        "predict_collection": lambda: prediction_job(settings, **collection),
        "check_collection": lambda: collection_job(settings, **collection),
        "prepare_collection": lambda: collection_job(settings, **collection),
        "scan": lambda: scan_job(settings, volume_source=volume, consul_ca=None),
        "report": lambda: store_reading_job(settings, "report", "1a2b", {}),
        "upgrade_check": lambda: store_reading_job(settings, "upgrade_check", "1a2b", {}),
    }
    if script == "drill":
        return 768 // 2
    tasks = [task for group in jobs[script]().task_groups for task in group.tasks]
    (found,) = (task.resources.memory for task in tasks if task.name == script.replace("_", "-"))
    return found // 2 if script == "scan" else found
