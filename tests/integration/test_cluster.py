"""The embedded cluster keeps what it holds and heals, whatever happens to its servers."""

import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from running import RunningCluster
from throwaway import throwaway_cluster

from devcluster.errors import ClusterError


@pytest.fixture(scope="module")
def cluster():
    """A cluster of these tests' own: others deploy the program to the common one."""
    with throwaway_cluster() as made:
        yield RunningCluster.start(made)


JOB = """
job "keeps-running" {
  group "web" {
    update { min_healthy_time = "1s" }
    network {
      port "http" {}
    }
    volume "data" {
      type   = "host"
      source = "registry_data"
    }
    task "web" {
      driver = "docker"
      restart { delay = "1s" }
      config {
        image   = "registry:3"
        ports   = ["http"]
        command = "serve"
        args    = ["/etc/distribution/config.yml"]
      }
      env { REGISTRY_HTTP_ADDR = ":${NOMAD_PORT_http}" }
      volume_mount {
        volume      = "data"
        destination = "/var/lib/registry"
      }
      vault { policies = ["default"] }
      resources {
        cpu    = 100
        memory = 100
      }
    }
    service {
      name = "keeps-running"
      port = "http"
      tags = ["traefik.enable=true", "traefik.http.routers.keeps-running.rule=Host(`registry.homelab.local`)"]
      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "2s"
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def service(cluster):
    """A container with a volume, a Vault token and a route, deployed by Nomad."""
    file = cluster.root / "keeps-running.nomad"
    file.write_text(JOB)
    run(cluster.env, "nomad", "job", "run", file)
    wait_until_served(cluster)
    yield "keeps-running"
    run(cluster.env, "nomad", "job", "stop", "-purge", "keeps-running")


def wait_until_served(cluster, seconds=180):
    """Through Traefik's TLS entry point: all servers have a part in it."""
    deadline = time.monotonic() + seconds
    url = f"https://registry.homelab.local:{cluster.traefik_port}/v2/"
    trust = ssl.create_default_context(cafile=cluster.ca_file)
    while True:
        try:
            answer = httpx.get(url, verify=trust, timeout=10, trust_env=False)
            if answer.status_code == 200:
                return
        except httpx.HTTPError as error:
            answer = error
        assert time.monotonic() < deadline, f"{url} is not served: {answer}"
        time.sleep(0.3)


def write_something(cluster):
    consul = httpx.put(f"{cluster.consul_address}/v1/kv/kept", content="in Consul")
    vault = httpx.post(
        f"{cluster.vault_address}/v1/secret/data/kept",
        headers={"X-Vault-Token": cluster.vault_token},
        json={"data": {"kept": "in OpenBao"}},
    )
    assert (consul.status_code, vault.status_code) == (200, 200)


def assert_still_there(cluster):
    assert httpx.get(f"{cluster.consul_address}/v1/kv/kept?raw").text == "in Consul"
    secret = httpx.get(
        f"{cluster.vault_address}/v1/secret/data/kept", headers={"X-Vault-Token": cluster.vault_token}
    ).json()
    assert secret["data"]["data"] == {"kept": "in OpenBao"}


def servers_of(cluster):
    return {row.name: row for row in cluster.cluster.status()}


def kill(cluster, *names):
    for name in names:
        os.kill(servers_of(cluster)[name].pid, signal.SIGKILL)
    while any(servers_of(cluster)[name].pid for name in names):
        time.sleep(0.05)


def snapshot(root: Path):
    """Every file that a start may write, with its time of change."""
    folders = ("bin", "tls", "run", "pulumi", "traefik")
    files = [path for folder in folders for path in (root / folder).rglob("*") if not path.is_dir()]
    files += [*root.glob("*/*.json"), *root.glob("*.json"), root / "env"]
    return {str(path): path.lstat().st_mtime_ns for path in files}


def test_a_second_start_changes_nothing(cluster, service):
    pids = {name: row.pid for name, row in servers_of(cluster).items()}
    before = snapshot(cluster.root)
    assert cluster.cluster.up() == []
    assert snapshot(cluster.root) == before
    assert {name: row.pid for name, row in servers_of(cluster).items()} == pids


def test_stopping_ends_every_process_and_starting_again_serves_what_was_there(cluster, service):
    write_something(cluster)
    running = {*servers_of(cluster)}
    assert running >= {"dockerd", "consul", "openbao", "traefik", "nomad"}
    assert {*cluster.cluster.down()} == running
    assert processes_below(cluster.root) == []
    assert {row.state for row in cluster.cluster.status()} == {"stopped"}
    cluster.cluster.up()
    wait_until_served(cluster)
    assert_still_there(cluster)


@pytest.mark.parametrize("name", ["consul", "openbao", "traefik", "nomad", "dockerd", "plugins"])
def test_a_killed_server_is_started_again_and_all_is_served(cluster, service, name):
    write_something(cluster)
    kill(cluster, name)
    assert cluster.cluster.up() == [name]
    wait_until_served(cluster)
    assert_still_there(cluster)


def test_all_servers_killed_at_once_as_by_a_power_cut_come_back(cluster, service):
    write_something(cluster)
    names = {*servers_of(cluster)}
    kill(cluster, *names)
    assert {*cluster.cluster.up()} == names
    wait_until_served(cluster)
    assert_still_there(cluster)


def test_a_port_in_use_is_named_with_its_holder(cluster):
    cluster.cluster.down()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", cluster.instance.ports.consul_http))
        listener.listen()
        with pytest.raises(ClusterError) as error:
            cluster.cluster.up()
    port = cluster.instance.ports.consul_http
    assert f"port {port}, needed for Consul's API, is in use by" in str(error.value)
    assert f"(pid {os.getpid()})" in str(error.value)
    assert {row.state for row in cluster.cluster.status()} == {"stopped"}
    cluster.cluster.up()


def test_a_server_that_dies_while_it_starts_names_its_log(cluster):
    cluster.cluster.down()
    raft = cluster.root / "vault" / "data" / "vault.db"
    whole = raft.read_bytes()
    raft.write_bytes(b"not a database" * 1000)
    try:
        with pytest.raises(ClusterError) as error:
            cluster.cluster.up()
    finally:
        raft.write_bytes(whole)
    assert "openbao stopped while it started" in str(error.value)
    assert str(cluster.root / "logs" / "openbao.log") in str(error.value)
    assert "invalid database" in str(error.value)
    cluster.cluster.up()
    assert_still_there(cluster)


def test_a_second_cluster_runs_beside_the_first_and_leaves_nothing_behind(cluster, service):
    with throwaway_cluster() as second:
        second.up()
        assert {row.state for row in second.status()} == {"healthy"}
        assert len(traces_of(second.instance)) > 5
    assert traces_of(second.instance) == []
    assert processes_below(second.instance.root) == []
    assert not second.instance.root.exists()
    wait_until_served(cluster)


def test_on_an_engine_that_runs_already_stopping_takes_only_ones_own_containers(
    cluster, service, monkeypatch
):
    monkeypatch.setenv("DOCKER_HOST", cluster.docker_host)
    with throwaway_cluster(own_engine=False) as guest:
        guest.up()
        run(guest.environment(), "nomad", "job", "run", cluster.root / "keeps-running.nomad")
        assert len(containers(cluster)) == 2
        assert "dockerd" not in guest.down()
        assert len(containers(cluster)) == 1
    wait_until_served(cluster)


def containers(cluster):
    return run(cluster.env, "docker", "ps", "--quiet").split()


def run(env, *command):
    """Run a command; give its output, or fail with what it said."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def traces_of(instance):
    """What a cluster put outside its folder: links, rules, mounts, runtime files, the line in /etc/hosts."""
    commands = (
        ["ip", "-brief", "link"],
        ["iptables", "--wait", "-S"],
        ["iptables", "--wait", "-t", "nat", "-S"],
        ["ls", "/run"],
    )
    printed = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands
    ]
    printed += [Path("/proc/self/mounts").read_text(), Path("/etc/hosts").read_text()]
    names = (instance.label, f"{instance.root}")
    return [line for text in printed for line in text.splitlines() if any(name in line for name in names)]


def test_no_secret_of_the_cluster_is_in_a_log_or_in_a_process_list(cluster):
    secrets = [(cluster.root / name).read_text() for name in ("vault/root-token", "nomad/vault-token")]
    texts = [path.read_text(errors="replace") for path in (cluster.root / "logs").iterdir()]
    texts.append(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout)
    assert [secret for secret in secrets for text in texts if secret in text] == []


def processes_below(root: Path):
    """Command lines of the processes that hold a file or folder below `root`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            places = [str((process / "cwd").readlink()), command]
        except OSError:
            continue
        if any(str(root) in place for place in places):
            found.append(command)
    return found
