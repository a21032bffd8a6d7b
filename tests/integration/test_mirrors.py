"""Mirrors on the cluster: what comes from the upstream, what from the cache, and who may see which secret."""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import yaml
from image_store import MANIFESTS, Store
from upstream import Upstream, registry
from waiting import until

from checks.errors import CheckError
from checks.job_run import JobRun
from checks.servers import Server
from config.providers import Endpoint
from config.sections.mirrors import DOCKER_HUB
from devcluster import storage_tools
from devcluster.engine import runtime_folder

USER, PASSWORD = "upstream-reader", "correct-horse-battery"
KIB = 1024
NAMESPACE = "dr-test-mirrors"  # containerd's


class Mirrors:
    """Three mirrors of three upstreams, and what tests do with them."""

    def __init__(self, deployment, host, store_port):
        self.deployment, self.ports = deployment, {}
        # Of the cluster: a port of the kernel's choice may be another program's while an upstream is away.
        ports = iter(range(store_port + 1, store_port + 5))
        self.hub = Upstream(host, store_port, port=next(ports))
        self.private = Upstream(host, store_port, login=f"{USER}:{PASSWORD}", port=next(ports))
        self.third = Upstream(host, store_port, port=next(ports))
        self.fourth = Upstream(host, store_port, port=next(ports))  # is added while the others serve
        self.upstreams = {
            "docker-hub": self.hub,
            "private": self.private,
            "third": self.third,
            "fourth": self.fourth,
        }
        for number, name in enumerate(self.upstreams):
            self.ports[name] = deployment.ports.registry + 10 + number

    def write(self, names):
        """Write the mirrors of these names into the stack file, the password encrypted."""
        options = {
            "docker-hub": {"auth": "none", "hostname": "hub.homelab.local"},
            "private": {"username": USER},
            "third": {"auth": "none", "maxSize": "1MiB"},
            "fourth": {"auth": "none"},
        }
        mirrors = [
            {"name": name, "upstream": self.upstreams[name].url, "port": self.ports[name], **options[name]}
            for name in names
        ]
        content = yaml.safe_load(self.deployment.stack.file.read_text())
        content["config"]["docker-registry:mirrors"] = mirrors
        # Not every hour beside the tests.
        content["config"]["docker-registry:maintenance"] = {"mirrors": {"schedule": "47 3 1 1 *"}}
        self.deployment.restore(yaml.safe_dump(content, sort_keys=False))
        if "private" in names:
            self.set_password(PASSWORD)

    def set_password(self, password, kind="--secret"):
        key = "docker-registry:mirrors[1].password"
        self.deployment.run(
            *("pulumi", "config", "set", "--path", kind, key, "--stack", "dev"), text=password
        )

    def address(self, name):
        return f"registry.homelab.local:{self.ports[name]}"

    def client(self, name, **options):
        return httpx.Client(
            base_url=f"http://{self.address(name)}/v2", headers={"Accept": MANIFESTS}, timeout=30, **options
        )

    def pull(self, name, image, **options):
        """Fetch an image whole, as a client does; gives its digest."""
        repository, _, tag = image.partition(":")
        with self.client(name, **options) as client:
            answer = client.get(f"/{repository}/manifests/{tag}").raise_for_status()
            manifest = answer.json()
            for part in (manifest["config"], *manifest["layers"]):
                blob = client.get(f"/{repository}/blobs/{part['digest']}").raise_for_status()
                assert len(blob.content) == part["size"]
            # It keeps a layer only after the client has the last byte (distribution 3.1, proxyblobstore.go).
            uploads = self.cache(name) / "docker/registry/v2/repositories" / repository / "_uploads"
            until(lambda: not any(uploads.glob("*")))
            return answer.headers["Docker-Content-Digest"]

    def cache(self, name):
        return self.deployment.cluster.instance.cache_volume / name

    def serves(self, name):
        return httpx.get(f"http://{self.address(name)}/v2/").status_code == 200

    def evict(self):
        """Run the job that measures the caches now; gives what it told of each."""
        nomad = Server(
            Endpoint(name="Nomad", setting="nomad:address", address=self.deployment.cluster.nomad_address),
            None,
        )
        job = "docker-registry-mirrors-evict"
        self.deployment.documented(
            "docs/mirrors.md", "nomad job periodic force docker-registry-mirrors-evict"
        )
        newest = max(nomad.get(f"/v1/jobs?prefix={job}/"), key=lambda each: each["SubmitTime"])["ID"]
        # A task that fails makes further ones.
        evaluations = nomad.get(f"/v1/job/{quote(newest, safe='')}/evaluations")
        evaluation = min(evaluations, key=lambda each: each["CreateIndex"])
        run = JobRun(nomad=nomad, namespace="default", job=newest, evaluation=evaluation["ID"])
        return [json.loads(line) for line in run.output("evict-mirrors").splitlines()]

    def allocations(self):
        """Ids of what runs and is to go on, by mirror."""
        url = f"{self.deployment.cluster.nomad_address}/v1/job/docker-registry-mirrors/allocations"
        found = httpx.get(url).json()
        return {
            each["TaskGroup"]: each["ID"]
            for each in found
            if (each["DesiredStatus"], each["ClientStatus"]) == ("run", "running")
        }


def store_port(deployment):
    return deployment.ports.registry + 19


@pytest.fixture(scope="module")
def mirrors(deployment, tmp_path_factory):
    instance = deployment.cluster.instance
    shown = subprocess.run(
        ["ip", "-json", "-4", "address", "show", "dev", instance.label], capture_output=True, check=True
    )
    host = json.loads(shown.stdout)[0]["addr_info"][0]["local"]  # of this machine, for containers
    before, port = deployment.settings_text(), store_port(deployment)
    with registry(tmp_path_factory.mktemp("upstream") / "registry", port):
        made = Mirrors(deployment, host, port)
        made.write(["docker-hub", "private", "third"])
        deployment.up()
        yield made
        deployment.restore(before)
        deployment.up()
        for upstream in made.upstreams.values():
            upstream.stop()


class Push:
    """The upstreams' store, as image_store pushes to it."""

    password = ""

    def __init__(self, deployment):
        self.crane, self.address = deployment.crane, f"127.0.0.1:{store_port(deployment)}"


@pytest.fixture(scope="module")
def push(mirrors, tmp_path_factory):
    """Push an image of one small layer to the upstreams' store; gives its digest."""
    store = Store(Push(mirrors.deployment), tmp_path_factory.mktemp("layers"))
    return lambda name, size=64 * KIB: store.push(name, store.layer(size))


def test_the_first_pull_comes_from_the_upstream_and_the_second_from_the_cache(mirrors, push):
    digest = push("library/first:1")
    mirrors.hub.forget()

    assert mirrors.pull("docker-hub", "library/first:1") == digest
    assert len(mirrors.hub.requests("blobs")) == 2
    mirrors.hub.forget()
    assert mirrors.pull("docker-hub", "library/first:1") == digest
    assert mirrors.hub.requests("blobs") == []


def test_what_is_cached_is_served_while_the_upstream_is_away(mirrors, push):
    digest = push("library/away:1")
    mirrors.pull("third", "library/away:1")

    with mirrors.third.away():
        assert mirrors.pull("third", "library/away:1") == digest


def test_docker_takes_what_is_printed_and_pulls_by_the_name_as_it_is(mirrors, push, printed):
    digest = push("library/plain:1")
    mirrors.hub.forget()

    with dockerd_settings(mirrors.deployment, printed.daemon_json.read_text()):
        mirrors.deployment.docker("pull", "plain:1")
        shown = mirrors.deployment.docker("image", "inspect", "--format", "{{.RepoDigests}}", "plain:1")
        mirrors.deployment.docker("image", "rm", "plain:1")

    assert shown.strip() == f"[plain@{digest}]"
    assert mirrors.hub.requests("manifests")


def test_containerd_takes_what_is_printed_and_pulls_from_the_cache(mirrors, push, printed):
    push("library/by-ctr:1")
    mirrors.pull("third", "library/by-ctr:1")
    mirrors.hub.forget()
    name = mirrors.third.url.removeprefix("http://")

    with mirrors.third.away():
        for image in (f"{name}/library/by-ctr:1", "docker.io/library/by-ctr:1"):
            ctr(mirrors, "images", "pull", "--hosts-dir", str(printed.certs_d), image)
            ctr(mirrors, "images", "rm", "--sync", image)
    ctr(mirrors, "namespaces", "rm", NAMESPACE)
    assert mirrors.hub.requests("manifests")


def test_podmans_library_takes_what_is_printed_and_pulls_from_the_cache(mirrors, push, printed, tmp_path):
    digest = push("library/by-skopeo:1")
    mirrors.pull("third", "library/by-skopeo:1")
    name = mirrors.third.url.removeprefix("http://")

    with mirrors.third.away():
        for number, image in enumerate((f"{name}/library/by-skopeo:1", "docker.io/library/by-skopeo:1")):
            copied = tmp_path / f"copy-{number}"
            skopeo(mirrors, printed, "copy", f"docker://{image}", f"dir:{copied}")
            assert f"sha256:{hashlib.sha256((copied / 'manifest.json').read_bytes()).hexdigest()}" == digest


def test_podmans_library_logs_in_at_a_mirror_that_asks_who_it_is(mirrors, push, printed, tmp_path):
    push("library/known:1")
    name = mirrors.private.url.removeprefix("http://")
    [login] = [line for line in printed.text.splitlines() if line.startswith("podman login")]

    given = ("--username", "demo", "--password-stdin")  # podman asks for them
    skopeo(mirrors, printed, *login.split()[1:], *given, text=mirrors.deployment.password)
    mirrors.private.forget()
    skopeo(mirrors, printed, "copy", f"docker://{name}/library/known:1", f"dir:{tmp_path}")

    assert mirrors.private.requests("manifests"), "the mirror asked its upstream"


def test_a_mirror_is_reached_through_traefik_by_its_own_host_name(mirrors, push):
    digest = push("library/routed:1")
    mirrors.hub.forget()

    for name in ("hub.homelab.local", "third.registry.homelab.local"):
        answer = through_traefik(mirrors.deployment, name, "/v2/library/routed/manifests/1")
        assert answer.headers["Docker-Content-Digest"] == digest
    assert mirrors.hub.requests("manifests")


def test_a_mirror_logs_in_at_its_upstream_and_asks_its_own_clients_who_they_are(mirrors, push):
    digest = push("library/private:1")
    demo = ("demo", mirrors.deployment.password)

    with mirrors.client("private") as stranger:
        assert stranger.get("/library/private/manifests/1").status_code == 401
    assert mirrors.pull("private", "library/private:1", auth=demo) == digest
    assert mirrors.private.logins == {f"{USER}:{PASSWORD}"}


def test_what_a_mirror_logs_in_with_is_nowhere_in_clear(mirrors):
    nomad, allocation = mirrors.deployment.cluster.nomad_address, mirrors.allocations()["private"]
    logs = [
        httpx.get(
            f"{nomad}/v1/client/fs/logs/{allocation}",
            params={"task": "registry", "type": kind, "plain": "true", "origin": "start"},
        ).text
        for kind in ("stdout", "stderr")
    ]
    places = {
        "job": httpx.get(f"{nomad}/v1/job/docker-registry-mirrors").text,
        "log": "".join(logs),
        "docker": mirrors.deployment.containers(),
        "state": mirrors.deployment.run("pulumi", "stack", "export", "--stack", "dev"),
        "stack file": mirrors.deployment.settings_text(),
    }

    assert places["log"], "nothing was looked at"
    assert [name for name, text in places.items() if PASSWORD in text] == []
    assert [name for name, text in places.items() if USER in text] == ["stack file"]


def test_an_unchanged_stack_stays_as_it_is_and_doctor_is_content(mirrors):
    def content():
        found = mirrors.deployment.doctor()
        return found["mirrors-serve"]["state"] == found["upstreams-answer"]["state"] == "ok"

    assert mirrors.deployment.changes() == {}
    until(content)  # a mirror that is busy fails a check of Consul's now and then


def test_a_password_that_the_upstream_refuses_is_told_before_anything_changes(mirrors):
    mirrors.set_password("hunter2hunter2")
    try:
        told = mirrors.deployment.preview(check=False)
        found = mirrors.deployment.doctor()["upstreams-answer"]
    finally:
        mirrors.set_password(PASSWORD)

    refused = f"{mirrors.private.url} refuses the user of mirror private with this password (401)"
    assert found["state"] == "failure" and refused in found["what"]
    assert "pulumi config set --secret --path 'docker-registry:mirrors[1].password'" in found["fix"]
    assert f"mirrors[1]: {refused}" in told
    assert "hunter2hunter2" not in told


def test_a_password_in_clear_is_refused(mirrors):
    before = mirrors.deployment.settings_text()
    mirrors.set_password(PASSWORD, "--plaintext")
    try:
        told = mirrors.deployment.preview(check=False)
    finally:
        mirrors.deployment.restore(before)

    assert "Pulumi.dev.yaml: docker-registry:mirrors[1].password: is in clear: " in told
    assert PASSWORD not in told


def test_a_cache_above_its_limit_loses_what_was_used_least_recently_and_nobody_else_is_touched(mirrors, push):
    cache = mirrors.cache("third")
    stamp(cache, days=4)
    for days, name in ((3, "oldest"), (2, "older"), (1, "newest")):
        push(f"library/{name}:1", 400 * KIB)
        mirrors.pull("third", f"library/{name}:1")
        stamp(cache, days=days)
    before = mirrors.allocations()
    assert size_of(cache) > 1024 * KIB

    with mirrors.third.away():
        with pytest.raises(CheckError, match="left as it is"):
            mirrors.evict()
        found = mirrors.deployment.doctor()
    assert found["caches-within-size"]["state"] == found["upstreams-answer"]["state"] == "warning"
    assert "third: left as it is" in found["caches-within-size"]["what"]
    assert f"third: {mirrors.third.url} does not answer from here" in found["upstreams-answer"]["what"]
    assert mirrors.allocations() == before

    with Outage(mirrors.address("third")) as outage:
        (told,) = mirrors.evict()

    print(f"away for {outage.seconds:.1f} s: {told}")
    assert told["mirror"] == "third" and told["evicted"]
    assert size_of(cache) < 1024 * KIB
    after = until(lambda: {**found} if "third" in (found := mirrors.allocations()) else None)
    assert after.pop("third") != before.pop("third")
    assert after == before
    until(lambda: mirrors.serves("third"))  # it asks its upstream when it starts
    with mirrors.third.away():
        for name in ("older", "newest"):
            mirrors.pull("third", f"library/{name}:1")
        with pytest.raises(httpx.HTTPStatusError):
            mirrors.pull("third", "library/oldest:1")
    mirrors.pull("third", "library/oldest:1")


def test_a_mirror_comes_back_from_a_state_file_that_a_kill_left_empty(mirrors, push):
    digest = push("library/killed:1")
    mirrors.pull("docker-hub", "library/killed:1")
    state = mirrors.cache("docker-hub") / "scheduler-state.json"
    until(state.exists)

    kill(mirrors, "docker-hub", lambda: state.write_text(""))

    until(lambda: mirrors.serves("docker-hub"))
    assert mirrors.pull("docker-hub", "library/killed:1") == digest
    assert not state.exists() or json.loads(state.read_text())


def test_an_eviction_that_fails_does_not_keep_the_mirror_from_starting(mirrors, push):
    digest = push("library/evicted:1")
    mirrors.pull("third", "library/evicted:1")
    before = mirrors.allocations()["third"]
    unreadable = mirrors.cache("third") / "docker/registry/v2/blobs/sha256/zz"
    unreadable.mkdir(mode=0o700)  # root's

    mirrors.deployment.run("nomad", "alloc", "stop", "-detach", before)
    try:
        after = until(lambda: found if (found := mirrors.allocations().get("third")) != before else None)
        until(lambda: mirrors.serves("third"))
        assert mirrors.pull("third", "library/evicted:1") == digest
        log = ("nomad", "alloc", "logs", "-stderr", after, "evict")
        until(lambda: "the cache may be above its limit still: " in mirrors.deployment.run(*log))
    finally:
        unreadable.rmdir()


def kill(mirrors, name, then):
    """Kill a mirror's registry as a crash does, and do something to its cache before it starts again."""
    deployment, allocation = mirrors.deployment, mirrors.allocations()[name]
    deployment.docker("kill", f"registry-{allocation}")
    then()


def test_adding_one_and_removing_one_leaves_the_others_as_they_run(mirrors):
    before = mirrors.allocations()
    mirrors.write(["docker-hub", "third", "fourth"])
    mirrors.deployment.up()

    after = mirrors.allocations()
    assert mirrors.pull("fourth", "library/first:1") == mirrors.pull("docker-hub", "library/first:1")
    assert after.pop("fourth")
    assert after == {name: before[name] for name in ("docker-hub", "third")}
    consul = mirrors.deployment.cluster.consul_address
    until(lambda: httpx.get(f"{consul}/v1/catalog/service/registry-mirror-private").json() == [])


def test_doctor_names_what_is_wrong_with_the_mirrors_and_what_mends_it(mirrors):
    sizes = mirrors.deployment.doctor()["caches-within-size"]
    assert sizes["state"] == "ok" and sizes["what"].startswith("third has ")
    job = f"{mirrors.deployment.cluster.nomad_address}/v1/job/docker-registry-mirrors"

    httpx.delete(job, params={"purge": "true"}).raise_for_status()

    def found():
        return mirrors.deployment.doctor()["mirrors-serve"]

    # Nomad ends one after the other.
    named = until(lambda: each if "docker-hub: " in (each := found())["what"] else None)
    assert (named["state"], named["fix"]) == ("failure", "pulumi up --stack dev")


def stamp(cache, days):
    """Let what is younger than this have been used so many days ago."""
    moment = time.time() - days * 86_400
    for file in (cache / "docker").rglob("*"):  # beside it is what distribution writes in its own time
        if file.is_file() and file.stat().st_mtime > moment:
            os.utime(file, (moment, moment))


def size_of(cache):
    return sum(file.stat().st_size for file in cache.glob("docker/registry/v2/blobs/*/*/*/data"))


class Outage(threading.Thread):
    """Asks a mirror all the time, and remembers how long it did not answer."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.url, self.failures, self.stopped = f"http://{address}/v2/", [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()

    def run(self):
        while not self.stopped.wait(0.1):
            try:
                httpx.get(self.url, timeout=2)
            except httpx.TransportError:
                self.failures.append(time.monotonic())

    @property
    def seconds(self):
        return self.failures[-1] - self.failures[0] if self.failures else 0.0


@dataclass(frozen=True)
class Printed:
    """What `ops mirrors` printed, and where its commands wrote: in folders of the test's."""

    text: str
    daemon_json: Path
    certs_d: Path  # containerd's
    home: Path  # of a user of podman


@pytest.fixture(scope="module")
def printed(mirrors, tmp_path_factory):
    """Do as `ops mirrors` prints. Docker Hub stands in the stack file for it, which nobody reaches here."""
    root, before = tmp_path_factory.mktemp("clients"), mirrors.deployment.settings_text()
    mirrors.deployment.restore(before.replace(mirrors.hub.url, DOCKER_HUB))
    try:
        text = mirrors.deployment.run("python", "-m", "ops", "mirrors", "--ports", "--stack", "dev")
    finally:
        mirrors.deployment.restore(before)
    made = Printed(text, root / "daemon.json", root / "certs.d", root / "home")
    user = made.home / ".config/containers/registries.conf.d"
    user.mkdir(parents=True)
    lines = text.splitlines()
    [content] = [line for line in lines if line.startswith("{")]
    made.daemon_json.write_text(content)
    commands = "\n".join(line for line in lines if line != content and not line.startswith("podman login"))
    commands = commands.replace("/etc/containerd/certs.d", str(made.certs_d))
    commands = commands.replace("/etc/containers/registries.conf.d", str(user))
    assert "/etc/" not in re.sub(r"(?m)^#.*", "", commands)
    mirrors.deployment.run("bash", "-euc", commands)
    return made


@contextmanager
def dockerd_settings(deployment, text):
    """Let the cluster's dockerd have another daemon.json, as `systemctl reload docker` does."""
    instance = deployment.cluster.instance
    pid = int((runtime_folder(instance) / "dockerd.pid").read_text())

    def reload(text):
        (instance.root / "docker.json").write_text(text)
        os.kill(pid, signal.SIGHUP)
        wanted = [f"{mirror}/" for mirror in json.loads(text).get("registry-mirrors", [])]
        shown = ("info", "--format", "{{json .RegistryConfig.Mirrors}}")
        until(lambda: (json.loads(deployment.docker(*shown)) or []) == wanted)

    reload(text)
    try:
        yield
    finally:
        reload('{"registry-mirrors": []}')


def through_traefik(deployment, hostname, path):
    """Ask Traefik for a path of a host, whose name need not resolve here."""
    host, port = deployment.traefik_address
    # The cluster's certificate is for *.homelab.local: what is below has none.
    trust = deployment.trust() if hostname.count(".") == 2 else False
    with httpx.Client(verify=trust) as client:

        def routed():
            answer = client.get(
                f"https://{host}:{port}{path}",
                headers={"Host": f"{hostname}:{port}", "Accept": MANIFESTS},
                extensions={"sni_hostname": hostname},
            )
            return answer if answer.status_code == 200 else None

        return until(routed, interval=0.3)


def skopeo(mirrors, printed, *arguments, text=None):
    """Run skopeo as a user whose registries.conf.d has what was printed."""
    env = {"HOME": str(printed.home), "REGISTRY_AUTH_FILE": str(printed.home / "auth.json")}
    return mirrors.deployment.run(str(storage_tools.skopeo()), *arguments, env=env, text=text)


def ctr(mirrors, *arguments):
    """Run containerd's own client against the containerd of the cluster's dockerd, or the system's."""
    own = runtime_folder(mirrors.deployment.cluster.instance) / "containerd" / "containerd.sock"
    address = own if own.exists() else "/run/containerd/containerd.sock"
    mirrors.deployment.run("ctr", "--address", str(address), "--namespace", NAMESPACE, *arguments)
