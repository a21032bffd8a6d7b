"""The Docker engine: the one that runs on this machine, else a dockerd of our own."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from devcluster import bridge
from devcluster.debian import install
from devcluster.errors import ClusterError
from devcluster.instance import Instance
from devcluster.servers import Server, running_pid

SYSTEM_HOST = "unix:///var/run/docker.sock"
ENGINE_SECONDS = 30  # a busy machine's engine takes its time to list containers
SOCKET_PATH_BYTES = 107  # unix(7): sun_path


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Which engine an instance uses; `server` is None for one that is not ours to start and stop."""

    host: str  # DOCKER_HOST
    server: Server | None


def choose(instance: Instance) -> Engine:
    """Settle which engine the instance uses. An instance that once had its own keeps it."""
    if not instance.own_engine and not (instance.root / "docker").exists():
        host = _running(instance)
        if host:
            return Engine(host=host, server=None)
    return Engine(host=f"unix://{instance.docker_socket}", server=server(instance))


def prepare(instance: Instance) -> None:
    """Install and make what a dockerd of our own needs: the programs, the bridge, the folders."""
    if len(str(instance.docker_socket)) > SOCKET_PATH_BYTES:
        raise ClusterError(
            f"{instance.docker_socket} is too long for a socket ({SOCKET_PATH_BYTES} characters at most): "
            "put the repository into a shorter folder"
        )
    install_programs()
    if os.geteuid() != 0:
        raise ClusterError(
            "no Docker engine answers (DOCKER_HOST or /var/run/docker.sock), and starting one needs root: "
            "start Docker, or run this as root"
        )
    bridge.ensure(instance)
    (instance.root / "docker").mkdir(parents=True, exist_ok=True)
    if running_pid(server(instance), instance) is None:
        # Left by a killed dockerd, whose containerd ends with it; a new one would believe both still run.
        for file in ("dockerd.pid", "containerd/containerd.pid"):
            (runtime_folder(instance) / file).unlink(missing_ok=True)


def install_programs() -> None:
    """Install the programs that a dockerd of our own needs, as far as they are missing."""
    packages = {"dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2"}
    missing = [package for program, package in packages.items() if not _which(program)]
    if missing:
        install(missing, "no Docker engine runs here, Docker's or Debian's programs are missing")


def require_client() -> None:
    """Install the `docker` program if it is missing: a package of its own from Debian 13 on."""
    if not shutil.which("docker"):
        install(["docker-cli"], "the `docker` program is missing")


def server(instance: Instance) -> Server:
    """A dockerd of our own, as a server of the cluster."""
    runtime = runtime_folder(instance)
    options = {
        "host": f"unix://{instance.docker_socket}",
        "config-file": str(instance.root / "docker.json"),
        "data-root": str(instance.root / "docker"),
        "exec-root": str(runtime),
        "pidfile": str(runtime / "dockerd.pid"),
        "bridge": instance.label,
        "iptables": "false",
        "ip6tables": "false",
        # One's own, so that a containerd of the system, which dockerd would use too, is shared without harm.
        "containerd-namespace": instance.label,
        "containerd-plugins-namespace": f"{instance.label}-plugins",
        "log-level": "warn",
    }
    return Server(
        name="dockerd",
        # Not installed yet when a first `up` makes its plans: where Debian's package puts it.
        command=(
            _which("dockerd") or "/usr/sbin/dockerd",
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        files={instance.root / "docker.json": "{}"},  # not the system's /etc/docker/daemon.json
        healthy=lambda: answers(f"unix://{instance.docker_socket}"),
        address=f"unix://{instance.docker_socket}",
    )


def runtime_folder(instance: Instance) -> Path:
    """Sockets and mounts of our dockerd: below /run, as their paths must be short and end with a reboot."""
    return Path("/run") / instance.label


def answers(host: str) -> bool:
    """Whether a Docker engine answers at this DOCKER_HOST, a `unix://` one."""
    try:
        with _api(host) as client:
            return client.get("/_ping").status_code == 200
    except httpx.HTTPError:
        return False


def docker(host: str, *arguments: str, stdin: Path | None = None) -> str:
    """Run the docker client against an engine; its output. Raises ClusterError with what it says."""
    with (stdin or Path(os.devnull)).open("rb") as file:
        result = subprocess.run(
            ["docker", "--host", host, *arguments], stdin=file, capture_output=True, text=True, check=False
        )
    if result.returncode != 0:
        raise ClusterError(f"`docker {' '.join(arguments)}` failed: {result.stderr.strip()}")
    return result.stdout


def containers(host: str, instance: Instance) -> list[str]:
    """Ids of the containers of this instance's Nomad, told by their mounts from all others'."""
    # One request, as Nomad removes containers meanwhile: `docker inspect` fails for one that has just gone.
    query = {"all": "true", "filters": json.dumps({"label": ["com.hashicorp.nomad.alloc_id"]})}
    try:
        with _api(host) as client:
            found = client.get("/containers/json", params=query).raise_for_status().json()
    except httpx.HTTPError as error:
        raise ClusterError(f"the Docker engine at {host} does not list its containers: {error}") from error
    return [
        container["Id"]
        for container in found
        if any(Path(mount["Source"]).is_relative_to(instance.root) for mount in container["Mounts"])
    ]


def stop_containers(host: str, instance: Instance) -> None:
    """Stop and remove the containers of this instance's Nomad."""
    ours = containers(host, instance)
    if ours:
        docker(host, "stop", "--time", "30", *ours)
        docker(host, "rm", "--force", *ours)


def _api(host: str) -> httpx.Client:
    """The Docker Engine API at this DOCKER_HOST, a `unix://` one."""
    transport = httpx.HTTPTransport(uds=host.removeprefix("unix://"))
    return httpx.Client(transport=transport, base_url="http://docker", timeout=ENGINE_SECONDS)


def _running(instance: Instance) -> str | None:
    """DOCKER_HOST of an engine that runs here, or None."""
    host = os.environ.get("DOCKER_HOST", "")
    if host in ("", f"unix://{instance.docker_socket}"):  # the second: set by this instance's own `env` file
        return SYSTEM_HOST if answers(SYSTEM_HOST) else None
    if not host.startswith("unix://"):
        raise ClusterError(
            f"DOCKER_HOST is {host}, and the cluster's containers mount folders of this machine: "
            f"unset it, or set it to the socket of a local engine ({SYSTEM_HOST})"
        )
    if not answers(host):
        raise ClusterError(
            f"DOCKER_HOST is {host}, and no engine answers there: start it, or unset DOCKER_HOST"
        )
    return host


def _which(program: str) -> str | None:
    """Find a program also where only root's PATH looks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
