"""Monitoring: a real Prometheus watches the deployed registry under load, by the files of the stack."""

import json
import re
import socket
import ssl
import subprocess
import time

import httpx
import loki
import pytest
import yaml
from cryptography import x509
from image_store import Store
from prometheus_server import watching
from s3_server import bridge_address
from upstream import Upstream
from waiting import until

from devcluster.stack import DEMO_USER
from monitoring.files import DASHBOARD, RULES

JOB, VARIABLE = "docker-registry", "nomad/jobs/docker-registry"
LATER = time.gmtime(time.time() + 12 * 3600)  # of each week, day and month: not beside the tests
HOUR, WEEKDAY = f"17 {LATER.tm_hour}", (LATER.tm_wday + 1) % 7  # cron's week begins on Sunday
MAINTENANCE = {
    "garbageCollection": {"schedule": f"{HOUR} * * {WEEKDAY}"},
    "backup": {"schedule": f"{HOUR} * * *", "drill": f"{HOUR} {LATER.tm_mday} * *"},
}
GROWTH = """
    sum(rate(registry_http_requests_total{code="401"}[1m])) > 0
    and sum(rate(registry_http_requests_total{code="200", handler="manifest"}[1m])) > 0
    and sum(rate(registry_proxy_hits_total{type="blob"}[1m])) > 0
    and sum(rate(registry_proxy_hits_total{type="manifest"}[1m])) > 0
"""


@pytest.fixture(scope="module")
def upstream(deployment):
    """The deployed registry, where containers reach it."""
    made = Upstream(bridge_address(deployment.cluster.instance), deployment.ports.registry)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def registry(deployment, upstream, tmp_path_factory):
    before = deployment.settings_text()
    deployment.wait_until_served()
    allocation = deployment.allocation()
    deployment.change("maintenance", **MAINTENANCE)
    files = tmp_path_factory.mktemp("files")
    deployment.change(
        "monitoring", port=deployment.ports.registry_debug + 1, directory=str(files / "written")
    )
    mirror_itself(deployment, upstream)
    deployment.up()
    assert deployment.allocation() == allocation, "the registry was restarted"
    deployment.files = files / "written"
    deployment.login(deployment.address)
    yield deployment
    deployment.restore(before)
    deployment.up()
    assert list((files / "written").iterdir()) == []


@pytest.fixture(scope="module")
def store(registry, tmp_path_factory):
    made = Store(registry, tmp_path_factory.mktemp("layers"))
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def exporter(registry):
    url = f"http://127.0.0.1:{registry.ports.registry_debug + 1}"

    def samples():
        """What the exporter says now, by name and labels as they are written."""
        text = httpx.get(f"{url}/metrics").text
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    return samples


def ops(registry, *arguments, **options):
    return registry.run("python", "-m", "ops", *arguments, "--stack", "dev", **options)


def mirror_port(deployment):
    return deployment.ports.registry + 10


def mirror_itself(deployment, upstream):
    """Write a mirror of the deployed registry into the stack file."""
    mirror = {"name": "itself", "upstream": upstream.url, "port": mirror_port(deployment), "auth": "none"}
    content = yaml.safe_load(deployment.settings_text())
    content["config"]["docker-registry:mirrors"] = [{**mirror, "username": DEMO_USER}]
    deployment.restore(yaml.safe_dump(content, sort_keys=False))
    deployment.encrypt("mirrors[0].password", deployment.password)


def load(store, through):
    """Pushes, pulls, denied logins, and pulls through a mirror."""
    digest = store.push("monitoring/app:1", store.layer(100_000))
    for _ in range(3):
        manifest = store.client.get(f"/monitoring/app/manifests/{digest}")
        for layer in manifest.json()["layers"]:
            for client in (store.client.get, lambda path: httpx.get(f"{through}{path}", timeout=30)):
                assert client(f"/monitoring/app/blobs/{layer['digest']}").status_code == 200
        assert httpx.get(f"{through}/monitoring/app/manifests/1", timeout=30).status_code == 200
        assert (
            store.client.get("/", headers={"Authorization": "Basic bm9ib2R5OnNlY3JldA=="}).status_code == 401
        )


@pytest.fixture(scope="module")
def watched(registry, store, tmp_path_factory):
    """Prometheus, after maintenance ran and clients came; it knows since when."""
    store.push("monitoring/app:0", store.layer(100_000))
    began = int(time.time())
    for command in (("gc",), ("backup", "now"), ("backup", "verify")):
        ops(registry, *command)
    folder = tmp_path_factory.mktemp("prometheus")
    through = f"http://registry.homelab.local:{mirror_port(registry)}/v2"
    port = registry.ports.registry + 22
    with watching(registry.files, registry.cluster.consul_address, folder, port) as prometheus:
        prometheus.began = began
        until(lambda: set(prometheus.targets().values()) == {"up"})

        def grew():
            """Whether Prometheus saw series begin, and then grow, by what clients did."""
            load(store, through)
            time.sleep(2)
            return prometheus.query(GROWTH)

        prometheus.grew = grew
        yield prometheus


def panels(registry, source):
    """The panels that ask Prometheus or Loki, by title: their queries for the registry."""
    made = json.loads((registry.files / DASHBOARD).read_text())["panels"]
    return {
        f"{panel['title']} ({panel['id']})": [
            target["expr"].replace("$job", JOB) for target in panel["targets"]
        ]
        for panel in made
        if panel["type"] != "row" and panel["datasource"]["type"] == source
    }


def test_every_query_of_every_panel_returns_data(registry, watched):
    asked = panels(registry, "prometheus")
    assert len(asked) > 20

    until_all_have_data(watched, [expr for exprs in asked.values() for expr in exprs])


def until_all_have_data(watched, queries):
    """Wait, while clients come: a target that did not answer in time has no series until it is asked anew."""

    def have_data():
        empty = [each for each in queries if not watched.query(each.replace("$__rate_interval", "1m"))]
        print("without data:", empty)
        return not empty

    until(lambda: watched.grew() and have_data())


def test_every_operand_of_every_alert_returns_data_and_none_fires(registry, watched):
    (group,) = yaml.safe_load((registry.files / RULES).read_text())["groups"]
    # What is compared, and not whether it is: nothing is wrong here.
    operands = [
        operand
        for rule in group["rules"]
        for operand in re.split(r" (?:and|or|==|<|>) ", rule["expr"])
        if not operand.startswith("absent(") and not re.fullmatch(r"[\d.* ]+", operand)
    ]
    assert len(operands) > len(group["rules"])

    until_all_have_data(watched, operands)
    assert watched.query('ALERTS{alertstate="firing"}') == []


def test_each_mirror_is_told_by_its_name(watched):
    (found,) = watched.query(f'up{{job="{JOB}-mirrors"}}')

    assert found["metric"]["mirror"] == found["metric"]["instance"] == "itself"


def test_the_exporter_tells_when_maintenance_went_well_and_until_when_it_has_to_again(exporter, watched):
    told = until(lambda: all_could_be_asked(exporter()))
    now = time.time()

    days = {"gc": 8, "backup": 2, "drill": 63}
    for kind, longest in days.items():
        last = told[f'docker_registry_last_success_timestamp_seconds{{kind="{kind}"}}']
        assert watched.began <= last <= now
        assert told[f'docker_registry_last_run_failed{{kind="{kind}"}}'] == 0
        assert told[f'docker_registry_due_timestamp_seconds{{kind="{kind}"}}'] == last + longest * 86_400


def test_the_exporter_tells_what_the_disk_and_the_certificate_say(registry, exporter):
    address = registry.tls_address
    told = until(lambda: all_could_be_asked(exporter()))
    disk = subprocess.run(
        ["stat", "--file-system", "--format=%b %S", registry.cluster.instance.registry_volume],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    shown = ssl.get_server_certificate(registry.traefik_address)
    ends = x509.load_pem_x509_certificate(shown.encode()).not_valid_after_utc

    assert told['docker_registry_volume_size_bytes{volume="registry_data"}'] == int(disk[0]) * int(disk[1])
    assert told['docker_registry_volume_free_bytes{volume="registry_backup"}'] > 0
    name = f'docker_registry_certificate_expiry_timestamp_seconds{{address="{address}"}}'
    assert told[name] == ends.timestamp()


def all_could_be_asked(told):
    """What the exporter told, if each part answered within the seconds that Prometheus leaves it."""
    return told if {value for name, value in told.items() if "can_ask" in name} == {1} else None


def test_the_exporter_answers_beside_any_number_of_connections_that_say_nothing(registry, exporter):
    address, open_ones = ("127.0.0.1", registry.ports.registry_debug + 1), []
    try:
        for number in range(300):
            open_ones.append(socket.create_connection(address, timeout=30))
            if number % 50 == 0:
                assert "docker_registry_up" in exporter()
        assert "docker_registry_up" in exporter()
    finally:
        for each in open_ones:
            each.close()
    until(lambda: all_could_be_asked(exporter()))


def test_a_freeze_and_a_run_that_failed_are_seen(registry, store, exporter, watched):
    nomad = httpx.Client(base_url=f"{registry.cluster.nomad_address}/v1", timeout=30)
    items = {"mode": "read-only", "owner": "me", "job": "", "since": "now"}
    nomad.put(f"/var/{VARIABLE}", json={"Path": VARIABLE, "Items": items}).raise_for_status()
    until(lambda: exporter().get("docker_registry_read_only") == 1)
    registry.wait_until_served()  # Nomad drops a template's restart while the task starts
    nomad.delete(f"/var/{VARIABLE}").raise_for_status()
    until(lambda: exporter().get("docker_registry_read_only") == 0)
    told = until(lambda: all_could_be_asked(exporter()))
    before = told['docker_registry_last_success_timestamp_seconds{kind="gc"}']

    store.add_rubbish(10_000)  # docker takes some seconds to find and kill it
    nomad.post(f"/job/{JOB}-gc/periodic/force").raise_for_status()
    docker = ("ps", "--quiet", "--filter", "name=collect-")
    registry.docker("kill", until(lambda: registry.docker(*docker).strip()))

    after = until(lambda: failed(exporter()))
    assert after['docker_registry_last_success_timestamp_seconds{kind="gc"}'] == before
    until(store.takes_pushes)


def failed(told):
    """What the exporter told, once it is of a collection that failed."""
    return told if told.get('docker_registry_last_run_failed{kind="gc"}') == 1 else None


def test_the_log_pipelines_find_the_containers_by_the_labels_that_nomad_gives_them(registry):
    (container,) = json.loads(registry.containers("--filter", f"name=registry-{registry.allocation()}"))
    labels = container["Config"]["Labels"]
    wanted = re.findall(r"__meta_docker_container_label_(\w+)", (registry.files / "promtail.yml").read_text())

    assert set(wanted) <= {re.sub(r"\W", "_", label) for label in labels}


def test_every_log_query_finds_something_in_what_the_containers_log(registry, store):
    digest = store.push("monitoring/logged:1", store.layer(1000))
    store.client.get(f"/monitoring/logged/manifests/{digest}").raise_for_status()
    assert store.client.get("/", auth=(DEMO_USER, "an old password")).status_code == 401
    pipeline = loki.promtail((registry.files / "promtail.yml").read_text())
    nomad = f"{registry.cluster.nomad_address}/v1/job"

    def empty():
        """The panels that show nothing of what the registry and the exporter logged."""
        found = []
        for job, task in ((JOB, "registry"), (f"{JOB}-exporter", "exporter")):
            [allocation] = [
                each["ID"]
                for each in httpx.get(f"{nomad}/{job}/allocations").json()
                if each["ClientStatus"] == "running"
            ]
            lines = registry.docker("logs", f"{task}-{allocation}").splitlines()
            found += pipeline.collect(job, task, lines)
        asked = panels(registry, "loki")
        return [title for title, exprs in asked.items() for expr in exprs if not loki.run(expr, found)]

    until(lambda: empty() == [])


def test_ops_writes_the_same_files_without_any_secret(registry, tmp_path):
    printed = ops(registry, "monitoring", "--out", str(tmp_path / "made")).split()

    assert json.loads(registry.run("pulumi", "stack", "output", "monitoringFiles", "--json")) == sorted(
        str(file) for file in registry.files.iterdir()
    )
    for file in registry.files.iterdir():
        text = (tmp_path / "made" / file.name).read_text()
        assert text == file.read_text()
        assert registry.cluster.vault_token not in text
        assert str(tmp_path / "made" / file.name) in printed


def test_a_preview_shows_nothing(registry):
    assert registry.changes() == {}


def test_doctor_names_an_exporter_that_was_stopped_and_what_mends_it(registry):
    until(lambda: registry.doctor()["exporter-answers"]["state"] == "ok")
    job = f"{registry.cluster.nomad_address}/v1/job/{JOB}-exporter"

    httpx.delete(job, params={"purge": "true"}).raise_for_status()
    # Nomad takes it out of Consul a moment later.
    found = until(lambda: found_wrong(registry, "exporter-answers"))

    assert (found["state"], found["fix"]) == ("failure", "pulumi up --stack dev")


def found_wrong(registry, check):
    """What doctor finds, once it is not well any more."""
    found = registry.doctor()[check]
    return None if found["state"] == "ok" else found
