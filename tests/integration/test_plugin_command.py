"""The local command plugin, on this machine and over SSH to a server here, driven by the real engine."""

import asyncssh
import pulumi
import pulumi_command as command
import pytest
from plugin_harness import Trial
from ssh_server import ssh_server


@pytest.fixture(scope="module")
def sshd():
    with ssh_server() as server:
        yield server


@pytest.fixture(scope="module")
def trial(cluster, tmp_path_factory):
    return Trial("plugin-command", tmp_path_factory.mktemp("command") / "state", cluster.env)


@pytest.fixture(scope="module")
def seen(trial, sshd, tmp_path_factory):
    """One stack lives through everything; the tests look at what was seen on the way."""
    folder = tmp_path_factory.mktemp("files")

    def connection(**properties):
        return {
            "host": "127.0.0.1",
            "port": sshd.port,
            "user": "nas",
            "private_key": sshd.private_key,
            "host_key": sshd.host_key,
            **properties,
        }

    def commands(*, local=None, remote=None, password=None, outputs=None):
        def program():
            secret = {"environment": {"GREETING": pulumi.Output.secret(password)}} if password else {}
            here = command.local.Command(
                "local",
                **{
                    "create": 'echo "made $GREETING"; cat; echo careful >&2; touch local; pwd >> runs',
                    "delete": 'echo "$PULUMI_COMMAND_STDOUT" > deleted',
                    "environment": {"GREETING": "hello"},
                    "stdin": "from stdin\n",
                    "dir": str(folder),
                    **(local or {}),
                    **secret,
                },
                opts=pulumi.ResourceOptions(additional_secret_outputs=outputs),
            )
            there = command.remote.Command(
                "remote",
                **{
                    "create": f"echo created >> {folder}/remote; echo $GREETING; cat",
                    "update": f'echo updated >> {folder}/remote; echo "was $PULUMI_COMMAND_STDOUT"',
                    "delete": f"rm {folder}/remote",
                    "environment": {"GREETING": "hello"},
                    "stdin": "over ssh",
                    "connection": connection(),
                    **(remote or {}),
                },
            )
            pulumi.export("local", [here.stdout, here.stderr])
            pulumi.export("remote", there.stdout)

        return program

    def failing(**properties):
        def program():
            command.remote.Command("failing", create="true", **properties)

        return program

    seen = {"folder": folder, "created": trial.up(commands())}
    seen["outputs"] = trial.outputs()
    seen["remote file"] = (folder / "remote").read_text()
    (folder / "local").unlink()
    seen["again"] = trial.preview(commands(), refresh=True)

    changed = {
        "local": {"environment": {"GREETING": "again"}, "logging": "none", "stdin": None},
        "remote": {"stdin": "changed"},
    }
    seen["updated"] = trial.up(commands(**changed))
    seen["new outputs"] = trial.outputs()
    seen["updated remote file"] = (folder / "remote").read_text()
    seen["secret"] = trial.up(commands(local={"logging": "none"}, password="s3same", outputs=["stdout"]))
    seen["stored"] = trial.stored()
    trial.up(commands(local={"logging": "none"}, password="0ther"))
    seen["stored in clear"] = trial.stored()
    trial.up(commands())
    seen["triggered"] = trial.up(commands(local={"triggers": ["now"]}))
    seen["deleted"] = (folder / "deleted").read_text()
    seen["runs"] = (folder / "runs").read_text().split()

    seen["exit code"] = trial.failure("up", commands(local={"create": "echo no such thing; exit 3"}))
    (folder / "deleted").unlink()
    seen["destroyed"] = trial.destroy()
    seen["left"] = sorted(path.name for path in folder.iterdir())
    seen["other key"] = trial.failure("up", failing(connection=connection(host_key=sshd.other_key)))
    intruder = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    seen["no login"] = trial.failure("up", failing(connection=connection(private_key=intruder)))
    seen["nobody"] = trial.failure("up", failing(connection=connection(port=1, dial_error_limit=1)))
    return seen


def test_create_runs_both_and_keeps_what_they_printed(seen):
    assert seen["created"].operations == {"local": "create", "remote": "create"}
    assert seen["outputs"]["local"].value == ["made hello\nfrom stdin", "careful"]
    assert seen["outputs"]["remote"].value == "hello\nover ssh"
    assert seen["remote file"] == "created\n"


def test_what_a_command_prints_is_in_the_log_unless_logging_says_none(seen):
    assert "made hello" in seen["created"].log
    assert "careful" in seen["created"].log
    assert "made again" not in seen["updated"].log


def test_nothing_can_be_read_back_so_a_lost_file_is_not_seen(seen):
    assert seen["again"].operations == {}


def test_a_changed_input_runs_update_or_else_create_again(seen):
    assert seen["updated"].operations == {"local": "update", "remote": "update"}
    assert seen["updated"].paths["local"] == ["environment.GREETING", "logging", "stdin"]
    assert seen["new outputs"]["local"].value == ["made again", "careful"]
    assert seen["updated remote file"] == "created\nupdated\n"
    assert seen["new outputs"]["remote"].value == "was hello\nover ssh"


def test_triggers_replace_and_the_old_delete_script_runs_with_the_old_output(seen):
    assert seen["triggered"].operations == {"local": "replace"}
    assert seen["deleted"] == "made hello\nfrom stdin\n"


def test_scripts_run_in_the_given_directory(seen):
    assert set(seen["runs"]) == {str(seen["folder"])}


def test_what_a_local_command_prints_of_a_secret_environment_is_secret_only_if_the_program_says_so(seen):
    assert seen["secret"].operations["local"] == "update"
    assert "s3same" not in seen["stored"]
    assert "BEGIN OPENSSH PRIVATE KEY" not in seen["stored"]
    assert "made 0ther" in seen["stored in clear"]


def test_a_failing_script_fails_the_update_with_its_output(seen):
    assert "exit status 3" in seen["exit code"]
    assert "no such thing" in seen["exit code"]


def test_destroy_runs_the_delete_scripts(seen):
    assert seen["destroyed"].operations == {"local": "delete", "remote": "delete"}
    assert seen["left"] == ["deleted", "local", "runs"]


def test_another_host_key_is_refused_at_once(seen):
    assert "shows another host key than connection.hostKey" in seen["other key"]


def test_a_refused_login_names_the_user_and_the_settings(seen):
    assert "refuses 'nas'" in seen["no login"]
    assert "connection.user" in seen["no login"]


def test_an_unreachable_host_is_given_up_after_the_dial_error_limit(seen):
    assert "cannot reach 127.0.0.1:1 after 2 tries" in seen["nobody"]
