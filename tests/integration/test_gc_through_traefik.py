"""What clients that come through Traefik see of a collection: the registry restarts twice.

The ports are bound to an address of the network, as on a NAS. On loopback docker's own proxy takes each
connection, also while nobody is behind it, so that Traefik cannot know that it may try again.
"""

import itertools
import subprocess
import threading
import time

import httpx
import pytest
from image_store import Store
from s3_server import bridge_address
from waiting import until

from devcluster.stack import STACK


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("access", bind=bridge_address(deployment.cluster.instance))
    deployment.change("maintenance", garbageCollection={"schedule": "17 4 1 1 *"})  # not beside the tests
    deployment.up()
    until(lambda: through_traefik(deployment).status_code == 401)
    deployment.login(deployment.tls_address)
    yield deployment
    deployment.restore(before)
    deployment.up()


class Push:
    """The registry as image_store pushes to it."""

    def __init__(self, registry):
        self.crane, self.address, self.password = registry.crane, registry.tls_address, registry.password


@pytest.fixture(scope="module")
def image(registry, tmp_path_factory):
    store = Store(Push(registry), tmp_path_factory.mktemp("layers"))
    store.push("gc/routed:1", store.layer(64 * 1024))
    store.client.close()
    return f"{registry.tls_address}/gc/routed:1"


def through_traefik(registry):
    return httpx.get(f"https://{registry.tls_address}/v2/", verify=registry.trust(), timeout=90)


class Loop(threading.Thread):
    """Does something all the time; remembers what failed, and how long each took (s)."""

    def __init__(self, once):
        super().__init__(daemon=True)
        self.once, self.failed, self.seconds, self.stopped = once, [], [], threading.Event()

    def __enter__(self):
        self.start()
        until(lambda: self.seconds)
        return self

    def __exit__(self, *_):
        count = len(self.seconds)
        until(lambda: len(self.seconds) > count + 1)
        self.stopped.set()
        self.join()

    def run(self):
        while not self.stopped.is_set():
            started = time.monotonic()
            self.failed += [failure] if (failure := self.once()) else []
            self.seconds.append(time.monotonic() - started)


def test_no_pull_by_crane_fails_in_a_whole_run_which_ends_when_traefik_leads_to_the_registry(
    registry, image, tmp_path
):
    env = {**registry.cluster.env, "SSL_CERT_FILE": str(registry.trusted)}
    pull = ["crane", "pull", image, str(tmp_path / "pulled.tar")]

    def crane():
        done = subprocess.run(pull, env=env, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else None

    def ask():  # what crane would try again; a client that does not is out of luck for a moment
        answer = through_traefik(registry)
        return None if answer.status_code == 401 else answer.status_code

    with Loop(crane) as pulls, Loop(ask) as asked:
        told = registry.run("python", "-m", "ops", "gc", "--stack", STACK)
        answer = through_traefik(registry)

    assert pulls.failed == []
    assert (answer.status_code, answer.headers["X-Registry-Mode"]) == (401, "read-write")
    assert "Traefik leads to it after another" in told
    failures = {status: len([*group]) for status, group in itertools.groupby(sorted(asked.failed))}
    print(f"{len(pulls.seconds)} pulls, the longest took {max(pulls.seconds):.1f} s")
    print(f"{len(asked.seconds)} questions, the longest took {max(asked.seconds):.1f} s; failed: {failures}")
    assert 404 not in failures
