import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HUB = {"name": "docker-hub", "upstream": "https://registry-1.docker.io", "port": 5010, "auth": "none"}
QUAY = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
SECURE = {"username": "me", "password": {"secure": "v1:abc"}}


@pytest.fixture
def configurations(ops, client_machine):
    def read(*mirrors, options=(), **sections):
        client_machine(mirrors=list(mirrors), **sections)
        result = ops("mirrors", "--stack", "dev", "--json", *options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return read


def test_dockerd_and_nomad_are_given_docker_hubs_mirror_only(configurations):
    assert configurations(HUB, {**QUAY, "auth": "none"})["dockerd"] == {
        "registry-mirrors": ["https://docker-hub.registry.homelab.local"]
    }


def test_dockerd_is_given_no_mirror_at_which_it_would_have_to_log_in(configurations):
    assert configurations({**HUB, "auth": "same"})["dockerd"] == {}
    open_registry = {"mode": "none", "allowAnonymous": True}
    assert configurations({**HUB, "auth": "same"}, auth=open_registry)["dockerd"] != {}


def test_containerd_has_a_file_for_each_registry_as_images_name_it(configurations):
    found = configurations(HUB, {**QUAY, "upstream": "http://10.0.0.1:5000"})["containerd"]

    assert {name: tomllib.loads(text) for name, text in found.items()} == {
        "docker.io": {
            "server": "https://registry-1.docker.io",
            "host": {"https://docker-hub.registry.homelab.local": {"capabilities": ["pull", "resolve"]}},
        },
        "10.0.0.1:5000": {
            "server": "http://10.0.0.1:5000",
            "host": {"https://quay.registry.homelab.local": {"capabilities": ["pull", "resolve"]}},
        },
    }


def test_podman_asks_the_mirror_first_and_knows_which_ones_speak_plain_http(configurations):
    read = tomllib.loads(configurations(HUB, QUAY, options=["--ports"])["podman"])

    assert read == {
        "registry": [
            {
                "location": "docker.io",
                "mirror": [{"location": "registry.homelab.local:5010", "insecure": True}],
            },
            {
                "location": "quay.io",
                "mirror": [{"location": "registry.homelab.local:5011", "insecure": True}],
            },
        ]
    }


def test_with_an_authority_of_our_own_containerd_is_told_where_it_is(configurations):
    found = configurations(HUB, tls={"mode": "registry"})["containerd"]["docker.io"]

    host = tomllib.loads(found)["host"]["https://docker-hub.registry.homelab.local"]
    assert host["ca"] == "/etc/containerd/certs.d/docker-hub.registry.homelab.local/ca.crt"


def test_the_printed_commands_write_the_same_files(ops, configurations, tmp_path):
    wanted = configurations(HUB, QUAY)

    script = ops("mirrors", "--stack", "dev").stdout
    (tmp_path / "etc/containers/registries.conf.d").mkdir(parents=True)
    lines = [line for line in script.splitlines() if not line.startswith(("{", "podman login"))]
    subprocess.run(
        ["/bin/sh", "-eu"],
        input="\n".join(lines).replace("/etc/", f"{tmp_path}/etc/"),
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )

    for name, text in wanted["containerd"].items():
        assert (tmp_path / "etc/containerd/certs.d" / name / "hosts.toml").read_text() == text
    conf = tmp_path / "etc/containers/registries.conf.d/mirrors.conf"
    assert conf.read_text() == wanted["podman"]
    assert json.dumps(wanted["dockerd"]) in script.splitlines()
    assert "podman login quay.registry.homelab.local" in script.splitlines()


def test_podman_logs_in_by_plain_http_where_the_own_port_speaks_it(ops, configurations):
    configurations(QUAY)

    script = ops("mirrors", "--ports", "--stack", "dev").stdout

    assert "podman login --tls-verify=false registry.homelab.local:5011" in script.splitlines()


def test_neither_pulumi_nor_its_passphrase_is_needed(configurations):
    assert list(configurations({**HUB, **SECURE})["containerd"]) == ["docker.io"]


def test_a_stack_without_mirrors_is_told_where_to_read(ops, client_machine):
    client_machine()

    assert ops("mirrors", "--stack", "dev").stdout == (
        "stack dev has no mirrors: docs/mirrors.md tells how to add one\n"
    )


def test_what_is_wrong_with_a_mirror_is_told(client_machine):
    folder = client_machine(mirrors=[{**HUB, "port": "x"}])

    result = subprocess.run(
        [sys.executable, "-m", "ops", "mirrors", "--stack", "dev"],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "Pulumi.dev.yaml: docker-registry:mirrors[0].port: 'x' is not a whole number\n"
