"""`python -m devcluster`: the embedded cluster and the registry on it, as `make` uses them."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from devcluster import debian, engine, images, nomad, programs, prometheus, storage_tools, traefik
from devcluster.cluster import Cluster
from devcluster.errors import ClusterError
from devcluster.instance import Instance
from devcluster.progress import say
from devcluster.stack import REPOSITORY, Stack
from devcluster.trivy_image import NAME as TRIVY

ROOT = REPOSITORY / ".cluster"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn an error that a person can act on into a line and exit code 1."""
    try:
        yield
    except ClusterError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        raise typer.Exit(1) from None


@app.command()
def up() -> None:
    """Set up what is missing, start the cluster, deploy the registry and tell how to push."""
    began = time.monotonic()
    with _plain_errors():
        cluster = Cluster(Instance(root=ROOT))
        stack = Stack(cluster=cluster)
        started = cluster.up()
        say(f"cluster: {'started ' + ', '.join(started) if started else 'everything runs already'}")
        stack.prepare()
        stack.configure()
        say(cluster.install_plugins(stack.environment()))
        if not nomad.wait_for_registry(cluster.instance):
            say("the registry does not serve yet: trying again; `python -m ops why` tells why")
        stack.deploy()
        traefik.wait_for_route(cluster.instance)
        say(f"\n{stack.output('nextSteps').strip()}")
        say(f"\nready after {time.monotonic() - began:.0f} s; `. {ROOT.name}/env` sets up this shell")


@app.command()
def build() -> None:
    """Get all programs that are not on PATH, those for tests alone too, so that no test waits for it."""
    with _plain_errors():
        engine.install_programs()  # the tests' clusters have engines of their own
        engine.require_client()
        storage_tools.ensure()
        programs.find_or_build_all()
        for program in (programs.ACTIONLINT, programs.TRIVY):
            programs.find_or_build(program)
        if not shutil.which("chromium"):
            debian.install(["chromium"], "a test opens the page of `ops report` in a browser")
        prometheus.folder()


@app.command()
def trivy() -> None:
    """Give the running cluster the image that `maintenance.scan` takes; built here, it takes minutes."""
    with _plain_errors():
        images.ensure(Cluster(Instance(root=ROOT)).docker_host, [TRIVY])


@app.command()
def down() -> None:
    """Stop the cluster and its containers; the data stays."""
    with _plain_errors():
        stopped = Cluster(Instance(root=ROOT)).down()
        say(f"stopped {', '.join(stopped)}; the data stays in {ROOT}" if stopped else "nothing runs")


@app.command()
def status() -> None:
    """Tell what runs where."""
    with _plain_errors():
        for row in Cluster(Instance(root=ROOT)).status():
            pid = f"pid {row.pid}" if row.pid else ""
            say(f"{row.name:<8} {row.state:<12} {pid:<12} {row.address:<40} {_short(row.log)}")


@app.command()
def clean() -> None:
    """Stop the cluster and remove it with all its data, images and settings."""
    with _plain_errors():
        cluster = Cluster(Instance(root=ROOT))
        cluster.clean()
        Stack(cluster=cluster).file.unlink(missing_ok=True)
        say(f"removed {ROOT}")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    app(prog_name="python -m devcluster")
