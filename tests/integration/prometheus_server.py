"""Prometheus with a stack's own files, watching a deployed stack."""

import subprocess
import time
from contextlib import contextmanager

import httpx
import yaml

from devcluster import prometheus
from monitoring.files import RULES, SCRAPE


class Prometheus:
    """A running server, asked by its API."""

    def __init__(self, port):
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30)

    def query(self, expr):
        """The series that an expression gives now, each with labels and value."""
        answer = self.client.get("/query", params={"query": expr}).json()
        assert answer["status"] == "success", f"{expr}: {answer}"
        return [each for each in answer["data"]["result"] if not _is_nothing(each)]

    def targets(self):
        """Every target by its scrape job: healthy or not."""
        active = self.client.get("/targets").json()["data"]["activeTargets"]
        return {each["labels"]["job"]: each["health"] for each in active}


def _is_nothing(series):
    """Whether its value is no number, as what is divided by zero."""
    return series["value"][1] == "NaN"


@contextmanager
def watching(files, consul_address, folder, port):
    """Run it on a folder with the files of `ops monitoring`; it keeps its own in another."""
    scrape = yaml.safe_load((files / SCRAPE).read_text())
    config = {
        "rule_files": [str(files / RULES)],
        "scrape_configs": [
            {**resolved(each, consul_address), "scrape_interval": "5s", "scrape_timeout": "5s"}
            for each in scrape["scrape_configs"]
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        prometheus.folder() / "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield ready(Prometheus(port), process, folder / "prometheus.log")
        finally:
            process.terminate()
            process.wait()


def resolved(scrape, consul_address):
    """Look the services up as Prometheus does: Debian's is built without its discovery by Consul."""
    static = []
    for each in scrape.pop("consul_sd_configs"):
        assert f"{each['scheme']}://{each['server']}" == consul_address
        for service in each["services"]:
            for entry in httpx.get(f"{consul_address}/v1/catalog/service/{service}").json():
                address = f"{entry['ServiceAddress'] or entry['Address']}:{entry['ServicePort']}"
                tags = f",{','.join(entry['ServiceTags'])},"
                static.append({"targets": [address], "labels": {"__meta_consul_tags": tags}})
    return {**scrape, "static_configs": static}


def ready(server, process, log):
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{server.port}/-/ready").status_code == 200:
                return server
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())
