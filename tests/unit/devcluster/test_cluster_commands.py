import pytest
from typer.testing import CliRunner

from devcluster import __main__ as commands


@pytest.fixture
def devcluster(tmp_path, monkeypatch):
    """Run a command on a cluster in a folder of its own."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(commands, "ROOT", tmp_path / ".cluster")
    return lambda *arguments: CliRunner().invoke(commands.app, arguments)


def test_an_error_is_one_line_without_a_traceback_and_fails_the_command(devcluster, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://nas:2375")
    result = devcluster("up")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: DOCKER_HOST is tcp://nas:2375")
    assert "Traceback" not in result.output


def test_status_tells_each_server_its_address_and_its_log_also_when_nothing_runs(devcluster):
    lines = devcluster("status").stdout.splitlines()
    assert [line.split()[0] for line in lines[-4:]] == ["consul", "openbao", "traefik", "nomad"]
    assert all("stopped" in line for line in lines)
    assert any("http://127.0.0.1:4646" in line and line.endswith("logs/nomad.log") for line in lines)


def test_stopping_what_does_not_run_makes_nothing(devcluster, tmp_path):
    assert devcluster("down").stdout == "nothing runs\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["up", "down", "status", "clean", "build"])
def test_every_command_tells_what_it_does(devcluster, command):
    assert devcluster(command, "--help").exit_code == 0
    assert len(getattr(commands, command).__doc__) > 20
