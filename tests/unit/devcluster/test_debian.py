import pytest

from devcluster import debian
from devcluster.errors import ClusterError

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4164 (apt-get)"


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """An `apt-get` that says something and fails as often as told, and writes down how it was called."""

    def put(failures, says):
        for number in range(failures):
            (tmp_path / f"fail-{number}").touch()
        program = tmp_path / "apt-get"
        program.write_text(f"""#!/bin/sh
cd {tmp_path}
echo "$@" >> calls
for file in fail-*; do
    [ -e $file ] && rm $file && echo "{says}" >&2 && exit 100
done
exit 0
""")
        program.chmod(0o755)
        return tmp_path / "calls"

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(debian.time, "sleep", lambda seconds: None)
    return put


def test_a_lock_that_another_apt_get_holds_is_waited_for(apt):
    calls = apt(failures=3, says=LOCKED)
    debian.install(["docker.io"], "no Docker engine runs here")
    assert calls.read_text().splitlines() == [
        *["update -q"] * 4,
        "install -q -y --no-install-recommends docker.io",
    ]


def test_a_lock_that_is_never_given_back_ends_with_its_holder(apt, monkeypatch):
    monkeypatch.setattr(debian, "LOCK_SECONDS", -1)
    apt(failures=1, says=LOCKED)
    with pytest.raises(ClusterError, match=r"`apt-get update -q` failed:\n.*process 4164"):
        debian.install(["docker.io"], "no Docker engine runs here")


def test_any_other_failure_is_not_tried_again(apt):
    calls = apt(failures=1, says="E: Unable to locate package docker.io")
    with pytest.raises(ClusterError, match="Unable to locate package"):
        debian.install(["docker.io"], "no Docker engine runs here")
    assert calls.read_text().splitlines() == ["update -q"]
