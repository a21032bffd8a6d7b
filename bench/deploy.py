"""How long `pulumi preview` and `up` take, beside Nomad's own commands for a bare job."""

import statistics
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.cluster import deployed
from devcluster.plugins.nomad import POLLING

RUNS = 3
# What preview may take: this much of `nomad job plan`, and the start of the engine with an empty program.
PREVIEW_GOAL = 1.5
# The job of a hand-written file: no secrets, no users, no TLS.
_BARE = string.Template("""
job "bare" {
  datacenters = ["dc1"]
  group "registry" {
    network {
      port "registry" {
        static = $port
        to     = 5000
      }
    }
    service {
      name = "bare"
      port = "registry"
      check {
        type     = "http"
        path     = "/"
        interval = "10s"
        timeout  = "2s"
      }
    }
    volume "registry_data" {
      type   = "host"
      source = "registry_data"
    }
    task "registry" {
      driver = "docker"
      config {
        image = "registry:3"
        ports = ["registry"]
      }
      volume_mount {
        volume      = "registry_data"
        destination = "/var/lib/registry"
      }
      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
""")


def bench() -> Table:
    """Deploy the stack and a bare job, and preview and plan them."""
    with deployed() as registry:
        bare = _bare_job(registry)
        empty = _empty_project(registry)
        start = _seconds(lambda: _pulumi(registry, empty, "preview", "--stack", "empty"))
        preview = _seconds(lambda: registry.run("pulumi", "preview", "--stack", "dev"))
        plan = _seconds(lambda: _planned(registry, bare))
        unchanged = _seconds(registry.up)
        registry.destroy()
        up = _seconds(registry.up, after=registry.destroy)
        polled = _seconds(lambda: registry.up(env={POLLING: "1"}), after=registry.destroy)
        run = _seconds(
            lambda: registry.run("nomad", "job", "run", str(bare)),
            after=lambda: registry.run("nomad", "job", "stop", "-purge", "bare"),
        )
    table = Table(
        *("what", "seconds", "beside", "seconds", "ratio"),
        title="Deploying: the whole stack, beside a bare job by Nomad's own commands",
        caption=f"median of {RUNS} runs; the goal of preview is {PREVIEW_GOAL} x plan + the engine's start",
    )
    allowed = PREVIEW_GOAL * plan + start
    table.add_row(*_row("pulumi preview", preview, "its goal", allowed))
    table.add_row(*_row("engine's start, empty program", start, "pulumi preview", preview))
    table.add_row(*_row("nomad job plan", plan, "pulumi preview", preview))
    table.add_row(*_row("pulumi up, nothing changes", unchanged, "pulumi preview", preview))
    table.add_row(*_row("pulumi up from nothing to healthy", up, "nomad job run", run))
    table.add_row(*_row("the same, polling as the published plugin", polled, "nomad job run", run))
    return table


def _row(what: str, seconds: float, beside: str, other: float) -> tuple[str, ...]:
    return what, f"{seconds:.1f}", beside, f"{other:.1f}", f"{seconds / other:.2f}"


def _seconds(run: Callable[[], Any], after: Callable[[], Any] = lambda: None) -> float:
    """Measure what `run` takes, the median of several times; what comes `after` does not count."""
    found = []
    for _ in range(RUNS):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
        after()
    return statistics.median(found)


def _bare_job(registry: Any) -> Path:
    file: Path = registry.stack.project / "bare.hcl"
    file.write_text(_BARE.substitute(port=registry.ports.registry + 10))
    return file


def _planned(registry: Any, bare: Path) -> None:
    """Plan it; the exit code of 1 says that something would change."""
    registry.run("nomad", "job", "plan", str(bare), check=False)


def _empty_project(registry: Any) -> Path:
    folder: Path = registry.cluster.root / "empty"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: empty\nruntime: python\n")
    (folder / "__main__.py").write_text('"""Nothing."""\n')
    _pulumi(registry, folder, "stack", "select", "--create", "empty")
    return folder


def _pulumi(registry: Any, folder: Path, *arguments: str) -> None:
    registry.run("pulumi", "--cwd", str(folder), *arguments)
