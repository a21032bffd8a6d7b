"""A second stack on the same servers, by the tracked example, and a first one that does not notice."""

import io
import os
import re
import tarfile
import threading
from contextlib import contextmanager

import httpx
import pytest
import yaml
from documents import block
from waiting import until

from devcluster import hosts
from devcluster.instance import HOSTNAME, LOOPBACK
from devcluster.stack import DEMO_USER, REPOSITORY
from devcluster.stack import STACK as FIRST_STACK

PAGE = "docs/environments.md"
BLOCKS = [
    block(PAGE, "nomad namespace apply staging"),
    block(PAGE, "pulumi stack init staging --no-select"),
    block(PAGE, "pulumi preview --stack staging"),
    block(PAGE, "python -m ops status --stack staging"),
    block(PAGE, "crane auth login registry-staging.homelab.local --username alice --password-stdin"),
    block(PAGE, "pulumi preview --stack staging --expect-no-changes"),
    block(PAGE, "pulumi destroy --stack staging"),
]
COMMANDS = [command for each in BLOCKS for command in each.commands]
STACK, NAMESPACE, NAME = "staging", "staging", "registry-staging"
PASSWORD = "correct horse battery"


class Staging:
    """The stack of Pulumi.staging.yaml, fitted to the tests' cluster."""

    def __init__(self, dev):
        self.dev, self.instance = dev, dev.cluster.instance
        self.file = dev.stack.project / f"Pulumi.{STACK}.yaml"
        # No cluster's own ports, whichever block it has (devcluster/instance.py).
        self.port, self.debug_port = (port + 100 for port in (dev.ports.registry, dev.ports.registry_debug))
        self.hostname = "registry-staging.homelab.local"
        self.tls_address = f"{self.hostname}:{dev.ports.traefik_tls}"
        self.used = set()  # commands of the docs that were run

    def configure(self):
        """Fit the example's servers, ports and host paths, and the rest stays as it is tracked."""
        content = yaml.safe_load((REPOSITORY / self.file.name).read_text())
        config, instance = content["config"], self.instance
        config["nomad:address"] = instance.nomad_address
        config["consul:address"] = instance.consul_address
        config["vault:address"] = instance.vault_address
        config["docker-registry:registry"] |= {"port": self.port, "debugPort": self.debug_port}
        storage = config["docker-registry:storage"]
        storage["root"] = str(instance.volumes)
        del storage["host"]
        config["docker-registry:vault"]["identity"] = "policies"  # Nomad 1.6
        config["docker-registry:tls"] = {"port": instance.ports.traefik_tls}
        config["docker-registry:access"]["allowedCidrs"] = ["127.0.0.0/8"]
        config["docker-registry:maintenance"] = {"garbageCollection": {"schedule": "17 4 1 1 *"}}
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))

    @property
    def is_there(self):
        """Whether the stack has not been removed yet."""
        return not any(command.startswith("pulumi stack rm") for command in self.used)

    def preview(self, **options):
        return self.dev.run("pulumi", "preview", "--stack", STACK, **options)

    def documented(self, beginning, **options):
        """Run the shortest command of the page that begins so."""
        command = min((each for each in COMMANDS if each.startswith(beginning)), key=len)
        self.used.add(command)
        return self.dev.shell(command.replace(self.hostname, self.tls_address), **options)

    @contextmanager
    def changed(self, **sections):
        """The settings with some keys of sections replaced; None removes one."""
        before = self.file.read_text()
        content = yaml.safe_load(before)
        for section, values in sections.items():
            settings = content["config"].setdefault(f"docker-registry:{section}", {})
            settings |= values
            content["config"][f"docker-registry:{section}"] = {
                key: value for key, value in settings.items() if value is not None
            }
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        try:
            yield
        finally:
            self.file.write_text(before)

    def refused(self, **sections):
        """What a preview with such settings says; it is to fail."""
        with self.changed(**sections):
            return " ".join(self.preview(check=False).split())


class Puller:
    """A client of the first stack that pulls an image all the time, by its port and by Traefik."""

    def __init__(self, registry, repository, tag):
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._run)
        self._registry, self._repository, self._tag = registry, repository, tag
        self.pulls, self.failures = 0, []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        credentials = (DEMO_USER, self._registry.password)
        with httpx.Client(verify=self._registry.trust(), auth=credentials, timeout=30) as client:
            while not self._stop.wait(0.2):
                for url in self._registry.base_urls:
                    try:
                        self._pull(client, f"{url}/v2/{self._repository}")
                    except (httpx.HTTPError, AssertionError) as error:
                        self.failures.append(f"{url}: {error!r}")

    def _pull(self, client, url):
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        manifest = client.get(f"{url}/manifests/{self._tag}", headers=accept)
        assert manifest.status_code == 200, manifest.text
        for blob in (manifest.json()["config"], *manifest.json()["layers"]):
            found = client.get(f"{url}/blobs/{blob['digest']}")
            assert found.status_code == 200
            assert len(found.content) == blob["size"]
        self.pulls += 1


@pytest.fixture(scope="module")
def dev(deployment):
    """The first stack, with an image in it."""
    deployment.wait_until_served()
    deployment.login(deployment.address)
    push(deployment, f"{deployment.address}/dev/hello:1")
    return deployment


def push(dev, reference):
    """Push a small image."""
    file = dev.stack.project / "layer.tar"
    with tarfile.open(file, "w") as archive:
        entry = tarfile.TarInfo("data")
        entry.size = 100_000
        archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    dev.crane("append", "--new_layer", str(file), "--new_tag", reference)


@pytest.fixture(scope="module")
def staging(dev):
    made = Staging(dev)
    made.configure()
    name = f"{LOOPBACK} {made.hostname} # docker-registry cluster {dev.cluster.root}"
    hosts.edit(hosts.HOSTS, add=name)
    made.documented("pulumi stack init")
    yield made
    if made.is_there:  # after a failure
        dev.run("pulumi", "destroy", "--yes", "--skip-preview", "--stack", STACK)
    dev.run("pulumi", "stack", "select", FIRST_STACK)  # `stack rm` leaves none selected
    hosts.edit(hosts.HOSTS, remove=name)


def test_a_namespace_that_is_missing_is_refused_with_the_command_that_makes_it(staging):
    (command,) = set(re.findall(r"has no namespace staging: `([^`]+)`", staging.refused()))

    staging.documented(command)

    staging.documented("pulumi preview --stack staging")


def test_what_the_first_stack_has_is_refused_with_the_key_to_change(staging, dev):
    holder = "job docker-registry (namespace default) on cluster"
    no_client = f"no client of Nomad at {dev.cluster.nomad_address} that may run the registry has port"

    said = staging.refused(
        registry={"hostname": HOSTNAME, "port": dev.ports.registry}, storage={"volume": "registry_data"}
    )
    assert f"Traefik routes {HOSTNAME} to service registry already" in said
    assert f"docker-registry:registry.port: {no_client} {dev.ports.registry} free" in said
    assert f"it is taken by {holder}" in said
    assert f"docker-registry:storage.volume: {holder} writes to the volume registry_data" in said

    directory = str(dev.cluster.instance.registry_volume)
    said = staging.refused(
        registry={"debugPort": dev.ports.registry_debug}, storage={"path": directory, "volume": "another"}
    )
    assert f"docker-registry:registry.debugPort: {no_client} {dev.ports.registry_debug} free" in said
    assert f"would be in {directory}, and cluster offers that directory as the volume registry_data" in said


def test_the_first_stacks_name_is_refused_in_its_namespace(staging):
    said = staging.refused(
        registry={"name": None, "namespace": None}, storage={"volume": "registry_staging_data"}
    )

    assert "has a policy docker-registry already, and it is not this stack's" in said
    assert "whose secrets are at secret/docker-registry/ too" in said


def test_a_job_that_is_not_the_stacks_is_not_written_over(staging, dev):
    group = {"Name": "web", "Tasks": [{"Name": "web", "Driver": "docker", "Config": {"image": "registry:3"}}]}
    job = {"ID": NAME, "Name": NAME, "Namespace": NAMESPACE, "Type": "batch"}
    job |= {"Datacenters": ["none"], "TaskGroups": [group]}
    answer = httpx.put(f"{dev.cluster.nomad_address}/v1/jobs?namespace={NAMESPACE}", json={"Job": job})
    answer.raise_for_status()

    said = staging.refused()

    assert f"has a job {NAME} in namespace {NAMESPACE} already, and it is not this stack's" in said
    (stop,) = set(re.findall(r"`(nomad job stop [^`]+)`", said))
    dev.run(*stop.split())


def test_the_second_stack_comes_works_and_goes_while_the_first_serves(staging, dev):
    before = dev.allocation()
    with Puller(dev, "dev/hello", "1") as puller:
        staging.documented("python -m ops users set alice", text=f"{PASSWORD}\n")
        staging.documented("pulumi up")
        staging.documented("pulumi preview --stack staging --expect-no-changes")
        assert "healthy" in staging.documented("python -m ops status")
        its_own_images(staging, dev)
        assert "freed 0 blobs" in dev.run("python", "-m", "ops", "gc", "--stack", STACK)
        staging.documented("pulumi destroy")
        until(lambda: left_of(NAME, dev.cluster) == [])  # a container takes a moment to end
        until(lambda: puller.pulls > 50)

    assert puller.failures == []
    assert dev.allocation() == before
    assert dev.changes() == {}
    assert any(staging.instance.staging_volume.rglob("link")), "the images stay"


def its_own_images(staging, dev):
    """An image that is pushed to staging is in staging alone, until it is copied."""
    url, trust = f"https://{staging.tls_address}/v2/", dev.trust()
    until(lambda: httpx.get(url, verify=trust).status_code == 401)  # Traefik hears of it some seconds later
    staging.documented("crane auth login registry-staging", text=PASSWORD)
    staging.documented("crane auth login registry.", text=dev.password)
    app = f"{staging.tls_address}/ci/app:1"
    push(dev, app)
    assert dev.crane("catalog", staging.tls_address).split() == ["ci/app"]
    dev.crane("digest", f"{dev.tls_address}/ci/app:1", check=False)

    staging.documented("crane copy")

    digests = [staging.documented(f"crane digest {host}") for host in (staging.hostname, HOSTNAME)]
    assert digests[0] == digests[1]
    dev.crane("digest", f"{staging.tls_address}/dev/hello:1", check=False)
    # A user of one is none of the other's.
    dev.login(dev.tls_address, user="alice", password=PASSWORD, check=False)
    dev.login(dev.tls_address)


def left_of(name, cluster):
    """What the servers have of that name; runs of jobs stay listed until Nomad's collection."""
    token = {"X-Vault-Token": cluster.vault_token}
    jobs = httpx.get(f"{cluster.nomad_address}/v1/jobs?namespace=*").json()
    policies = httpx.get(f"{cluster.vault_address}/v1/sys/policies/acl?list=true", headers=token).json()
    secrets = httpx.get(f"{cluster.vault_address}/v1/secret/metadata/?list=true", headers=token).json()
    entries = [
        entry["Name"]
        for kind in ("service-defaults", "service-intentions")
        for entry in httpx.get(f"{cluster.consul_address}/v1/config/{kind}").json()
    ]
    named = [
        *(job["ID"] for job in jobs if job["Status"] != "dead"),
        *policies["data"]["keys"],
        *secrets["data"]["keys"],
        *httpx.get(f"{cluster.consul_address}/v1/catalog/services").json(),
        *entries,
    ]
    return [each for each in named if each.startswith(name)]


def test_the_stack_and_its_namespace_are_removed_and_every_documented_command_was_run(staging):
    staging.documented("pulumi stack rm")
    staging.documented("nomad namespace delete")

    assert staging.file.exists()
    assert [command for command in COMMANDS if command not in staging.used] == []
