import os

import pytest

from jobs.tasks.restic import Restic, ResticError


@pytest.fixture
def restic(tmp_path):
    """Restic as a shell script of one's own."""

    def make(script, **more):
        program = tmp_path / "restic"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        return Restic(
            program=program,
            repository=f"{tmp_path}/repository",
            password_file=tmp_path / "password",
            scratch=tmp_path,
            **more,
        )

    return make


def test_a_command_gives_what_it_printed(restic):
    assert restic('echo "$@"').run("snapshots", "--host", "x") == "--no-cache snapshots --host x\n"


def test_a_document_is_asked_for_and_read(restic):
    assert restic('test "$3" = --json && echo "[1]"').json("snapshots") == [1]


def test_restic_is_told_repository_and_password_file_and_nothing_of_the_tasks_own(
    restic, tmp_path, monkeypatch
):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.secret")
    told = restic("env").run("snapshots")

    assert f"RESTIC_REPOSITORY={tmp_path}/repository\n" in told
    assert f"RESTIC_PASSWORD_FILE={tmp_path}/password\n" in told
    assert "hvs.secret" not in told


def test_a_command_works_in_the_folder_that_it_is_given(restic, tmp_path):
    assert restic("pwd").run("backup", folder=tmp_path).strip() == os.path.realpath(tmp_path)


def test_a_failure_is_told_in_restics_own_words(restic):
    with pytest.raises(ResticError) as caught:
        restic("echo nothing; echo 'Fatal: wrong password or no key found' >&2; exit 1").run("snapshots")
    assert str(caught.value) == "restic snapshots: Fatal: wrong password or no key found"


def test_a_failure_that_restic_tells_as_json_is_read(restic):
    script = """echo '{"message_type":"error","error":{"message":"open x: permission denied"}}' >&2
        echo '{"message_type":"exit_error","code":1,"message":"Fatal: no files"}' >&2; exit 1"""
    with pytest.raises(ResticError) as caught:
        restic(script).run("backup", "--json")
    assert str(caught.value) == "restic backup: open x: permission denied; Fatal: no files"


def test_a_failure_without_words_is_told_by_its_code(restic):
    with pytest.raises(ResticError, match="restic check: exit code 3"):
        restic("exit 3").run("check")


def test_an_output_that_cannot_be_read_because_restic_failed_is_told_in_restics_words(restic):
    with (
        pytest.raises(ResticError, match="ciphertext verification failed"),
        restic("echo half; echo 'ciphertext verification failed' >&2; exit 1").output("dump") as output,
    ):
        output.read()
        raise ValueError("unexpected end of data")


def test_a_reader_that_gives_up_ends_restic(restic, monkeypatch):
    monkeypatch.setattr("jobs.tasks.restic._END_SECONDS", 0.01)
    with (
        pytest.raises(ValueError, match="no tar archive"),
        restic("exec sleep 60").output("dump"),
    ):
        raise ValueError("no tar archive")


def test_what_takes_too_long_is_ended_with_the_reason_of_the_last_try(restic):
    tries = "echo 'Stat(<config/>) returned error, retrying after 1s: Stat: Access Denied' >&2"
    script = f"trap 'echo Fatal: context canceled >&2; exit 1' TERM; {tries}; while :; do sleep 0.01; done"

    with pytest.raises(ResticError) as caught:
        restic(script).run("cat", patience=0.3)
    assert str(caught.value) == (
        "restic cat: no success in 0 s: "
        "Stat(<config/>) returned error, retrying after 1s: Stat: Access Denied"
    )


def test_what_is_done_in_time_is_left_alone(restic):
    assert restic("echo done").run("cat", patience=60) == "done\n"


def test_over_a_network_restic_keeps_what_it_read_and_gets_its_keys(restic, tmp_path):
    made = restic('echo "$@ $AWS_ACCESS_KEY_ID"', cache=tmp_path / "c", variables={"AWS_ACCESS_KEY_ID": "a"})

    assert made.run("snapshots") == f"--cache-dir {tmp_path}/c snapshots a\n"
    assert "AWS" not in repr(made)
