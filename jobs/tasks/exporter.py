"""Serves the metrics that the registry does not have itself, for Prometheus, at /metrics.

Each part is asked for anew at each scrape, beside the others. A part that cannot be asked is told by a metric
of its own, and the others are there all the same.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from jobs.tasks.bounded_server import BoundedHandler, BoundedServer
from jobs.tasks.certificate import CertificateError, validity
from jobs.tasks.consul_check import ConsulCheck, ConsulError
from jobs.tasks.freeze_record import READ_ONLY, variable_of
from jobs.tasks.last_run import FAILED, SUCCEEDED
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.prometheus_text import CONTENT_TYPE, Sample, render
from jobs.tasks.registry_mode import answers

PREFIX = "docker_registry"
HELPS = {
    f"{PREFIX}_exporter_can_ask": "Whether the exporter could ask for this part now.",
    f"{PREFIX}_up": "Whether each allocation of the registry answers at its own port.",
    f"{PREFIX}_read_only": "Whether the registry takes no pushes, as during maintenance.",
    f"{PREFIX}_last_success_timestamp_seconds": "When this maintenance last went well.",
    f"{PREFIX}_last_run_failed": "Whether the last run of this maintenance failed.",
    f"{PREFIX}_due_timestamp_seconds": "Until when this maintenance has to go well again.",
    f"{PREFIX}_certificate_start_timestamp_seconds": "From when this address's certificate holds.",
    f"{PREFIX}_certificate_expiry_timestamp_seconds": "Until when it holds.",
    f"{PREFIX}_volume_size_bytes": "Size of the file system that this volume is on.",
    f"{PREFIX}_volume_free_bytes": "What is free of it.",
}
PATIENCE_SECONDS = 3.0  # for each part; Prometheus gives up after 10 by default
QUEUE_SECONDS = 10.0  # for scrapes that came before


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """One registry, and what is asked about it."""

    nomad: Nomad
    registry: str  # Nomad job
    tls: bool
    certificates: tuple[str, ...]  # host:port
    volumes: Mapping[str, Path]
    runs: Mapping[str, Mapping[str, Any]]  # by kind: job, seconds, and for one with a check its service
    consul: str  # address
    consul_ca: str | None  # file with the certificates that Consul's is checked by; None is the system's
    own_variable: str  # may have a token for Consul

    @classmethod
    def of_task(cls, environment: Mapping[str, str]) -> "Exporter":
        """Take everything from the environment. Raises NomadError if there is no way to Nomad."""
        return cls(
            nomad=Nomad.of_task(environment, PATIENCE_SECONDS),
            registry=environment["REGISTRY_JOB"],
            tls=environment["REGISTRY_TLS"] == "true",
            certificates=tuple(environment["CERTIFICATES"].split()),
            volumes={name: Path(path) for name, path in json.loads(environment["VOLUMES"]).items()},
            runs=json.loads(environment["RUNS"]),
            consul=environment["CONSUL_ADDRESS"],
            consul_ca=environment.get("CONSUL_CACERT"),
            own_variable=variable_of(environment["NOMAD_JOB_ID"]),
        )

    def metrics(self) -> str:
        """Ask for everything; the text of all metrics."""
        parts: dict[str, Callable[[], Iterator[Sample]]] = {
            "registry": self._registry,
            "volumes": self._volumes,
            **{f"run {kind}": partial(self._run, kind, run) for kind, run in self.runs.items()},
            **{f"certificate {each}": partial(self._certificate, each) for each in self.certificates},
        }
        with ThreadPoolExecutor(len(parts)) as pool:
            answers = list(pool.map(_asked, parts, parts.values()))
        return render((sample for answer in answers for sample in answer), HELPS)

    def _registry(self) -> Iterator[Sample]:
        found = answers(self.nomad, self.registry, tls=self.tls).values()
        yield _sample("up", bool(found) and all(found))
        if any(found):
            yield _sample("read_only", any(answer and answer.mode == READ_ONLY for answer in found))

    def _run(self, kind: str, run: Mapping[str, Any]) -> Iterator[Sample]:
        good, failed = self._reported(run) if "service" in run else self._recorded(run)
        if good is not None:
            yield _sample("last_success_timestamp_seconds", good, kind=kind)
        if good is not None or failed:
            yield _sample("last_run_failed", failed, kind=kind)
        job = self.nomad.get(f"/v1/job/{run['job']}")
        # A job that is new, or has another schedule now, has that long from when it came.
        since = max(good or 0, job["SubmitTime"] / 1e9 if job else 0)
        if since:
            yield _sample("due_timestamp_seconds", since + run["seconds"], kind=kind)

    def _recorded(self, run: Mapping[str, Any]) -> tuple[int | None, bool]:
        """Tell when a job last went well, and whether it failed since, by its variable."""
        items = (self.nomad.get(variable_of(run["job"])) or {}).get("Items") or {}
        good, bad = (int(items[key]) if key in items else None for key in (SUCCEEDED, FAILED))
        return good, bad is not None and (good is None or bad > good)

    def _reported(self, run: Mapping[str, Any]) -> tuple[int | None, bool]:
        """Tell the same of a job that keeps a check in Consul."""
        items = (self.nomad.get(self.own_variable) or {}).get("Items") or {}
        token, service = items.get("consul_token"), run["service"]
        check = ConsulCheck(
            address=self.consul,
            ca_file=self.consul_ca,
            token=token,
            service=service,
            hours=0,
            timeout=PATIENCE_SECONDS,
        )
        report = check.last()
        if report is None:
            return None, False
        return (report.at if report.passed else None), not report.passed

    def _certificate(self, address: str) -> Iterator[Sample]:
        host, _, port = address.rpartition(":")
        start, end = validity(host, int(port), PATIENCE_SECONDS)
        yield _sample("certificate_start_timestamp_seconds", start, address=address)
        yield _sample("certificate_expiry_timestamp_seconds", end, address=address)

    def _volumes(self) -> Iterator[Sample]:
        for name, path in self.volumes.items():
            found = os.statvfs(path)
            yield _sample("volume_size_bytes", found.f_blocks * found.f_frsize, volume=name)
            yield _sample("volume_free_bytes", found.f_bavail * found.f_frsize, volume=name)


def _sample(name: str, value: float, **labels: str) -> Sample:
    return Sample(f"{PREFIX}_{name}", value, labels)


def _asked(part: str, ask: Callable[[], Iterator[Sample]]) -> list[Sample]:
    """Give what could be asked for of a part, and whether that was all of it."""
    found: list[Sample] = []
    try:
        found += ask()
    except (CertificateError, ConsulError, NomadError, OSError) as error:
        print(f"{part}: {error}", file=sys.stderr)
        return [*found, _sample("exporter_can_ask", 0, part=part)]
    return [*found, _sample("exporter_can_ask", 1, part=part)]


def handler(metrics: Callable[[], str]) -> type[BoundedHandler]:
    """Make what answers: `/metrics`, one scrape at a time, and `/` for the health check."""
    scraping = Lock()

    class Handler(BoundedHandler):
        def do_GET(self) -> None:  # noqa: N802 - the base class's name
            """Answer one request."""
            if self.path == "/metrics":
                self._scrape()
            elif self.path == "/":
                self._answer(200, "see /metrics\n")
            else:
                self._answer(404, "")

        def _scrape(self) -> None:
            if not scraping.acquire(timeout=QUEUE_SECONDS):
                self._answer(503, "# other scrapes are still under way\n")
                return
            try:
                text = metrics()
            finally:
                scraping.release()
            self._answer(200, text)

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(environment: Mapping[str, str]) -> None:
    """Serve on the address that Nomad chose for the port."""
    host, port = environment["NOMAD_IP_metrics"], int(environment["NOMAD_PORT_metrics"])
    exporter = Exporter.of_task(environment)
    with BoundedServer((host, port), handler(exporter.metrics)) as server:
        print(f"metrics are at http://{host}:{port}/metrics")
        server.serve_forever()


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    main(os.environ)
