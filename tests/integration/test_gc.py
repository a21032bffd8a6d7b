"""Garbage collection on a registry that is in use: what goes, what stays, and what clients see meanwhile."""

import hashlib
import re
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from documents import block
from image_store import MIB, Puller, Store
from waiting import until

from devcluster.stack import STACK

JOB, BACKUP = "docker-registry-gc", "docker-registry-backup"
VARIABLE = "nomad/jobs/docker-registry"
GIB = 1024 * MIB
PAGE = "docs/operations.md"
DRY_RUN, RUN = block(PAGE, "python -m ops gc --dry-run").commands
FREEZE, STATUS, THAW = block(PAGE, "nomad var put nomad/jobs/docker-registry mode=read-only").commands
COLLECTION = {"schedule": "17 4 1 1 *", "deleteUntagged": True}  # not beside the tests


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("maintenance", garbageCollection=COLLECTION, backup={"schedule": "17 2 1 1 *"})
    deployment.up()
    deployment.wait_until_served()
    deployment.login(deployment.address)
    yield deployment
    deployment.restore(before)
    deployment.up()


@pytest.fixture
def store(registry, tmp_path):
    made = Store(registry, tmp_path)
    yield made
    made.client.close()


@pytest.fixture
def nomad(registry):
    with httpx.Client(base_url=f"{registry.cluster.nomad_address}/v1", timeout=30) as client:
        yield client
        if frozen(client):  # by a test that failed
            client.delete(f"/var/{VARIABLE}").raise_for_status()
            registry.wait_until_writable()


def gc(registry, *options, check=True):
    return registry.run("python", "-m", "ops", "gc", *options, "--stack", STACK, check=check)


def told(output):
    """What a run says that it freed, or would free."""
    return re.search(r"(?:freed|would free) (\d+ blobs?, .*)", output)[1]


def frozen(nomad):
    """Items of the variable; None if there is none."""
    answer = nomad.get(f"/var/{VARIABLE}")
    return answer.json()["Items"] if answer.status_code == 200 else None


@contextmanager
def running(registry, *options):
    """`ops gc` beside the test; gives the process."""
    command = [sys.executable, "-m", "ops", "gc", *options, "--stack", STACK]
    process = subprocess.Popen(
        command,
        cwd=registry.stack.project,
        env=registry.cluster.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def container(registry, task):
    """Id of the running container of a task; "" if there is none."""
    return registry.docker("ps", "--quiet", "--filter", f"name={task}-").strip()


def test_what_is_tagged_stays_with_its_children_and_referrers_and_what_is_not_goes(registry, store):
    kept = store.push("gc/kept:1", store.layer())
    # As cosign and the distribution specification's fallback name what belongs to an image.
    referrers = [
        store.push(f"gc/kept:{kept.replace(':', '-')}{ending}", store.layer(1000)) for ending in (".sig", "")
    ]
    children = [store.push(f"gc/multi:child-{number}", store.layer()) for number in range(2)]
    index = store.index("gc/multi:1", *children)
    for number in range(2):
        store.untag(f"gc/multi:child-{number}")
    gone = store.push("gc/gone:1", store.layer(2 * MIB))
    store.untag("gc/gone:1")
    empty = store.empty_index("gc/empty:1")
    store.add_rubbish(1000)  # of a collection that ends at once Nomad's log may lack all lines
    before, paths = store.digests(), store.tree()

    predicted = registry.shell(DRY_RUN)
    assert store.tree() == paths
    done = gc(registry, "--follow")

    assert told(done) == told(predicted)
    assert done.splitlines()[-1].endswith(f"freed {told(done)}")
    assert "a run makes the missing directory repositories/gc/empty/_layers" in predicted
    assert "made the missing directory repositories/gc/empty/_layers" in done
    assert f"blob eligible for deletion: {gone}" in done
    assert store.has("gc/empty", empty)
    assert len(before - store.digests()) == int(told(done).split()[0]) >= 3  # layer, config and manifest
    assert all(store.has("gc/kept", digest) for digest in (kept, *referrers))
    assert all(store.has("gc/multi", digest) for digest in (index, *children))
    assert not store.has("gc/gone", gone)
    registry.crane("pull", f"{registry.address}/gc/multi@{children[0]}", str(store.folder / "child.tar"))


def restarts(registry, nomad):
    allocation = nomad.get(f"/allocation/{registry.allocation()}").json()
    return allocation["TaskStates"]["registry"]["Restarts"]


def test_pulls_go_on_but_for_two_restarts_and_pushes_get_405(registry, store, nomad):
    """The store has more than 2 GiB."""
    kept = store.push_with("gc/pulled:1", store.layer(64 * 1024), store.big_layer("gc/pulled", GIB))
    deleted = store.layer()
    gone = store.push_with("gc/gone:2", deleted, store.big_layer("gc/gone", GIB))
    small = store.push("gc/pulled:small", store.layer(64 * 1024))
    store.untag("gc/gone:2")
    store.add_rubbish(2000)
    assert store.takes_pushes()  # so that there is a repository for uploads
    before, restarts_before = store.tree(), restarts(registry, nomad)

    with running(registry, "--dry-run") as dry_run:
        until(lambda: dry_run.poll() is not None or container(registry, "predict-collection"))
        assert store.takes_pushes()  # a dry run disturbs nobody
        predicted, _ = dry_run.communicate(timeout=300)
    assert store.tree() == before
    assert (restarts(registry, nomad), frozen(nomad)) == (restarts_before, None)

    puller = Puller(store, "gc/pulled", small)
    puller.start()
    until(lambda: puller.modes)
    with running(registry) as run:
        until(lambda: container(registry, "collect"))
        answer = store.start_push()
        done, _ = run.communicate(timeout=300)
    again = store.start_push()  # `ops gc` ends when pushes work again
    begun = len(puller.pulls) + 1  # one more may be under way, from before
    until(lambda: any(mode for _, mode in puller.pulls[begun:]))
    puller.stopped.set()
    puller.join()

    assert run.returncode == 0, done
    assert told(done) == told(predicted)
    assert "GiB" in told(done)
    assert (answer.status_code, answer.text.strip()) == (405, "Method not allowed")
    assert answer.headers["X-Registry-Mode"] == "read-only"
    assert again.status_code == 202
    assert puller.wrong == []
    assert puller.modes == ["read-write", "read-only", "read-write"]
    print("seconds without pulls, and the modes before and after:", puller.outages)
    # None but at the restarts, which change the mode.
    assert [(was, now) for _, was, now in puller.outages if was == now] == []
    assert store.has("gc/pulled", kept) and not store.has("gc/gone", gone)

    image = store.push("gc/again:1", deleted)
    assert store.has("gc/again", image)
    # All of it is there, and not only remembered.
    registry.crane("validate", "--remote", f"{registry.address}/gc/again:1")


def test_what_the_collection_would_stop_at_is_named_without_a_freeze_and_can_be_mended(
    registry, store, nomad
):
    layer = store.layer(1000)
    digest = store.push("gc/damaged:1", layer)
    store.data(digest).write_bytes(b"")
    before = restarts(registry, nomad)

    for options in (["--dry-run"], []):
        output = gc(registry, *options, check=False)
        assert f"gc/damaged:1 ({digest}) is empty" in output
        assert 'docs/operations.md, "Mending the store"' in output
    assert "is read-only after" not in output
    assert frozen(nomad) is None
    assert restarts(registry, nomad) == before

    assert store.client.delete(f"/gc/damaged/manifests/{digest}").status_code == 202
    registry.shell(RUN)
    assert store.push("gc/damaged:1", layer) == digest
    registry.crane("validate", "--remote", f"{registry.address}/gc/damaged:1")


def hostile_members():
    """What anybody may put into a manifest, of which the registry reads nothing."""
    return {
        "bytes": b'"annotations": {"a": "\xff\xc3"}',
        "number": b'"x": ' + 4301 * b"9",
        "nested": b'"x": ' + 1500 * b"[" + 1500 * b"]",
        "deep": b'"x": ' + 9999 * b"[" + 9999 * b"]",
        "lists": b'"x": [' + 1_300_000 * b"[]," + b"[]]",
        "text": b'"annotations": {"a": "' + 4_000_000 * b"\xff" + b'"}',
        "subject": b'"subject": 7, "fsLayers": "x", "blobs": {}',
        "twice": b'"layers": [{}], "LAYERS": [{}]',
    }


def push_hostile(store):
    """Push an image with each; repositories with the digests, and the layer of those that have another."""
    layer = store.layer(1000)
    small = store.client.get(f"/gc/plain/manifests/{store.push('gc/plain:1', layer)}")
    media_type, text = small.headers["Content-Type"], small.content.rstrip()
    pushed = {}
    for name, members in hostile_members().items():
        store.push(f"gc/{name}:layers", layer)
        content = text.removesuffix(b"}") + b", " + members + b"}"
        pushed[f"gc/{name}"] = store.push_manifest(f"gc/{name}:1", content, media_type)
    by_sha512 = store.layer_by_sha512("gc/alias")
    pushed["gc/alias"] = store.push_with("gc/alias:1", layer, by_sha512)
    store.layer_by_sha512("gc/plain")  # of which no image has need
    return pushed, by_sha512["digest"]


def all_served(store, pushed, by_sha512):
    assert all(store.has(repository, digest) for repository, digest in pushed.items())
    content = store.client.get(f"/gc/alias/blobs/{by_sha512}").raise_for_status().content
    assert f"sha512:{hashlib.sha512(content).hexdigest()}" == by_sha512


def test_what_anybody_may_push_stops_no_collection_and_stays(registry, store, nomad):
    pushed, by_sha512 = push_hostile(store)
    gone = store.push("gc/gone:3", store.layer(2 * MIB))
    store.untag("gc/gone:3")
    paths = store.tree()

    predicted = gc(registry, "--dry-run")
    assert store.tree() == paths
    done = gc(registry)

    assert told(done) == told(predicted)
    assert not store.has("gc/gone", gone)
    all_served(store, pushed, by_sha512)
    unused = [*(store.repositories / "gc/plain/_layers").glob("sha512/*/link")]
    assert unused == []
    assert store.has("gc/again", store.push("gc/again:3", store.layer(1000)))


def test_a_run_that_needs_vault_never_freezes_the_registry_while_vault_is_away(registry, store, nomad):
    cluster = registry.cluster.cluster
    until(store.takes_pushes)
    try:
        registry.cluster.kill("openbao")
        child = force(nomad, BACKUP)

        def ended():
            assert (frozen(nomad), store.takes_pushes()) == (None, True)
            return is_dead(nomad, child)

        until(ended, 300)  # Nomad 1.6 fails such a run at once; with identity `workload` it waits
        assert all(each["TaskStates"]["freeze"]["StartedAt"] is None for each in allocations(nomad, child))
    finally:
        cluster.up()

    child = force(nomad, BACKUP)
    until(lambda: is_dead(nomad, child), 300)
    assert [each["ClientStatus"] for each in allocations(nomad, child)] == ["complete"]
    until(store.takes_pushes)


def test_a_run_whose_main_task_is_killed_fails_and_leaves_the_registry_writable(registry, store, nomad):
    store.add_rubbish(3000)
    with running(registry) as run:
        registry.docker("kill", until(lambda: container(registry, "collect")))
        output, _ = run.communicate(timeout=300)

    assert run.returncode == 1
    assert "failed in task collect" in output
    assert "writable again" in output
    assert frozen(nomad) is None
    assert store.takes_pushes()


def test_a_run_whose_freeze_is_killed_half_way_leaves_the_registry_writable(registry, store, nomad):
    with running(registry) as run:
        victim = until(lambda: container(registry, "freeze"))  # known before: half-way does not last
        until(lambda: frozen(nomad))
        registry.docker("kill", victim)
        output, _ = run.communicate(timeout=300)

    assert run.returncode == 1
    assert "failed in task freeze" in output
    assert frozen(nomad) is None
    until(store.takes_pushes)


def test_a_run_goes_on_when_nomad_is_killed_and_started_again(registry, store, nomad):
    store.add_rubbish(3000)
    child = force(nomad)
    until(lambda: container(registry, "collect"))
    registry.cluster.kill("nomad")
    registry.cluster.cluster.up()

    until(lambda: is_dead(nomad, child), 300)
    until(store.takes_pushes)
    assert frozen(nomad) is None


def force(nomad, job=JOB):
    """Start a run; its job."""
    evaluation = nomad.post(f"/job/{job}/periodic/force").json()["EvalID"]
    return nomad.get(f"/evaluation/{evaluation}").json()["JobID"]


def is_dead(nomad, child):
    answer = nomad.get(f"/job/{child.replace('/', '%2F')}")
    return answer.is_success and answer.json()["Status"] == "dead"  # one that has just started has no leader


def allocations(nomad, child):
    return nomad.get(f"/job/{child.replace('/', '%2F')}/allocations").json()


def test_two_runs_that_start_together_run_one_after_the_other(registry, store, nomad):
    store.add_rubbish(1000)
    children = [force(nomad)]
    time.sleep(1)  # a run is named by the second in which it starts
    children.append(force(nomad))

    until(lambda: all(is_dead(nomad, child) for child in children), 300)
    works = []
    for child in children:
        (allocation,) = allocations(nomad, child)
        assert allocation["ClientStatus"] == "complete"
        states = allocation["TaskStates"]
        works.append((states["collect"]["StartedAt"], states["collect"]["FinishedAt"]))
    first, second = sorted(works)
    assert first[1] < second[0]
    until(store.takes_pushes)


def freeze_by(nomad, owner):
    items = {"mode": "read-only", "owner": owner, "job": "docker-registry-backup/1", "since": "2026-01-01"}
    nomad.put(f"/var/{VARIABLE}", json={"Path": VARIABLE, "Items": items}).raise_for_status()


def status(registry):
    """What `ops status` says once the registry is healthy: Consul hears of a restart when it may be over."""

    def healthy():
        try:
            return registry.shell(STATUS)
        except AssertionError as error:
            assert "not healthy" in str(error)
            return None

    return until(healthy)


def test_a_freeze_whose_owner_is_gone_is_shown_and_taken_over(registry, store, nomad):
    freeze_by(nomad, "11111111-2222-3333-4444-555555555555")
    until(lambda: not store.takes_pushes())

    assert "docker-registry-backup/1, allocation 11111111, which has ended" in status(registry)
    assert "took over the freeze that docker-registry-backup/1 left" in gc(registry)
    assert frozen(nomad) is None
    assert store.takes_pushes()


def test_a_freeze_by_hand_is_waited_for_and_thaw_ends_it_after_a_question(registry, store, nomad):
    registry.shell(FREEZE)
    with running(registry) as run:
        first = run.stdout.readline()
        assert first.startswith("waiting: somebody holds the registry read-only")
        assert "by hand" in status(registry)
        assert "Aborted" in registry.shell(THAW, text="n\n", check=False)
        assert frozen(nomad) == {"mode": "read-only"}

        registry.shell(THAW, text="y\n")

        output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    assert store.takes_pushes()


def test_a_stack_without_the_jobs_runs_on_without_a_restart(registry, nomad):
    allocation = registry.allocation()
    restarts = nomad.get(f"/allocation/{allocation}").json()["TaskStates"]["registry"]["Restarts"]
    registry.change("maintenance", garbageCollection=None)

    assert set(registry.changes().values()) == {"delete"}
    registry.up()

    assert registry.allocation() == allocation
    after = nomad.get(f"/allocation/{allocation}").json()["TaskStates"]["registry"]["Restarts"]
    assert after == restarts
    assert "is not set" in gc(registry, check=False)
    registry.change("maintenance", garbageCollection=COLLECTION)
    assert set(registry.changes().values()) == {"create"}


def test_on_2_x_a_dry_run_predicts_and_a_run_frees_the_same(registry, store):
    registry.change("registry", **{**registry.section("registry"), "image": "registry:2"})
    registry.change("maintenance", garbageCollection={"schedule": COLLECTION["schedule"]})
    registry.up()
    registry.wait_until_served()
    digest = store.push("gc/old:1", store.layer())
    assert store.client.delete(f"/gc/old/manifests/{digest}").status_code == 202
    pushed, by_sha512 = push_hostile(store)

    predicted = gc(registry, "--dry-run")
    done = gc(registry)

    assert told(done) == told(predicted)
    assert int(told(done).split()[0]) >= 3
    all_served(store, pushed, by_sha512)
    assert store.takes_pushes()
