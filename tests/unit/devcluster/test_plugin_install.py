"""Which plugins a PULUMI_HOME gets; `pulumi` is a script that does what the real one was seen to do."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from devcluster.errors import ClusterError
from devcluster.instance import Instance
from devcluster.plugins import fork_server, standing_by
from devcluster.plugins.install import LOCAL, PLUGINS, PUBLISHED, install

FAKE = """#!/bin/sh
echo "$@" >> "$PULUMI_HOME/calls"
name=$4 version=$5 folder=$PULUMI_HOME/plugins/resource-$4-v$5
case "$*" in
*--file*) [ -z "$BROKEN" ] || { echo "no space left" >&2; exit 1; }
          mkdir -p $folder; cp "$8/pulumi-resource-$name" $folder ;;
*) [ -n "$ONLINE" ] || { echo "warning: no such host"; echo "Will retry in 80ms [1/5]"; exec sleep 30; }
   mkdir -p $folder; printf '\\177ELF' > $folder/pulumi-resource-$name ;;
esac
"""


@pytest.fixture
def pulumi(tmp_path):
    """An environment whose PATH has the fake pulumi first."""
    for folder in ("bin", "home"):
        (tmp_path / folder).mkdir()
    script = tmp_path / "bin" / "pulumi"
    script.write_text(FAKE)
    script.chmod(0o755)
    home = tmp_path / "home"
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PULUMI_HOME": str(home)}, home


def calls(home):
    return (home / "calls").read_text().splitlines()


def test_published_plugins_are_installed_where_they_can_be_downloaded(pulumi, tmp_path):
    env, home = pulumi
    assert install({**env, "ONLINE": "1"}, tmp_path / "build") == PUBLISHED
    assert calls(home) == [f"plugin install resource {name} {version(f'pulumi-{name}')}" for name in PLUGINS]


def test_after_one_failed_download_all_four_are_stand_ins(pulumi, tmp_path):
    env, home = pulumi
    assert install(env, tmp_path / "build") == LOCAL
    assert ["--file" in call for call in calls(home)] == [False, True, True, True, True]


def test_what_is_installed_is_left_alone(pulumi, tmp_path):
    env, home = pulumi
    install(env, tmp_path / "build")
    before = calls(home)
    assert install({**env, "ONLINE": "1"}, tmp_path / "build") == LOCAL
    assert calls(home) == before


def test_a_stand_in_of_another_checkout_is_replaced(pulumi, tmp_path):
    env, home = pulumi
    install(env, tmp_path / "build")
    launcher = next(home.glob("plugins/resource-vault-*/pulumi-resource-vault"))
    launcher.write_text("#!/bin/sh\nexec elsewhere\n")
    install(env, tmp_path / "build")
    assert "fork_server" in launcher.read_text()
    assert len(calls(home)) == 6


def test_a_stand_in_that_cannot_be_installed_is_named_with_pulumis_reason(pulumi, tmp_path):
    env, _ = pulumi
    with pytest.raises(ClusterError, match="local nomad plugin cannot be installed: no space left"):
        install({**env, "BROKEN": "1"}, tmp_path / "build")


@pytest.mark.parametrize("name", PLUGINS)
def test_a_launcher_tells_its_port_and_ends_quietly_when_the_engine_says_so(name, pulumi, tmp_path):
    env, home = pulumi
    install(env, tmp_path / "build")
    launcher = next(home.glob(f"plugins/resource-{name}-*/pulumi-resource-{name}"))
    plugin = subprocess.Popen(
        [launcher, "127.0.0.1:1"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert int(plugin.stdout.readline()) > 0
    plugin.send_signal(signal.SIGINT)
    assert plugin.communicate(timeout=20)[1] == ""
    assert plugin.returncode == 0


def fork_servers(engine):
    """Processes that fork the plugins of an engine; its id is their last argument."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [file.parent.name] if file.read_text().endswith(f"\0{engine}\0") else []
    return found


def test_all_plugins_of_an_engine_are_forks_of_one_process(pulumi, tmp_path):
    env, home = pulumi
    install(env, tmp_path / "build")
    for launcher in sorted(home.glob("plugins/resource-*/pulumi-resource-*")):
        with subprocess.Popen(
            [launcher, "127.0.0.1:1"], env=env, stdout=subprocess.PIPE, text=True
        ) as plugin:
            assert int(plugin.stdout.readline()) > 0
            plugin.send_signal(signal.SIGTERM)
    assert len(fork_servers(os.getpid())) == 1


@pytest.fixture(params=["a cluster that runs", "no cluster"])
def fork_server_of(request, pulumi):
    """A fork server of that PULUMI_HOME, and without it."""
    if request.param == "no cluster":
        yield None
        return
    _, home = pulumi
    with subprocess.Popen(fork_server.command(str(home), PLUGINS)) as process:
        deadline = time.monotonic() + 60
        while not fork_server.stands_by(str(home)):  # that it was asked does not end it
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        yield process
        assert process.poll() is None
        process.terminate()


def test_a_cluster_has_a_fork_server_once_stand_ins_are_installed(pulumi, tmp_path):
    env, home = pulumi
    instance = Instance(root=tmp_path)
    assert standing_by.servers(instance) == []
    instance.pulumi_home.parent.mkdir()
    instance.pulumi_home.symlink_to(home)
    install(env, tmp_path / "build")
    (server,) = standing_by.servers(instance)
    assert server.name == "plugins" and not server.healthy()


def test_a_plugin_ends_when_its_engine_was_killed(pulumi, tmp_path, fork_server_of):
    env, home = pulumi
    install(env, tmp_path / "build")
    launcher = next(home.glob("plugins/resource-consul-*/pulumi-resource-consul"))
    engine = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.argv[1], '127.0.0.1:1']); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", engine, launcher], env=env, stdout=subprocess.PIPE, text=True
    )
    assert int(process.stdout.readline()) > 0
    assert bool(fork_servers(process.pid)) == (fork_server_of is None)
    process.kill()
    assert process.stdout.read() == ""  # returns when the plugin, which holds the pipe, has ended
    process.wait()
    deadline = time.monotonic() + 20
    while fork_servers(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fork_servers(process.pid) == []
