import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.tasks.logged import PATIENCE_SECONDS, Counted, wait_for_log

SCRIPT = """
import sys
print("é" * 3)
print("bad", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "logs").mkdir()
    return {"NOMAD_ALLOC_DIR": str(tmp_path), "NOMAD_TASK_NAME": "thaw"}


@pytest.fixture
def log(tmp_path, environment):
    """The task's log, in which there is nothing yet; another task's is full."""
    (tmp_path / "logs" / "freeze.stdout.0").write_text("x" * 100)
    file = tmp_path / "logs" / "thaw.stdout.0"
    file.touch()
    return file


def test_a_script_ends_when_its_log_has_what_it_wrote(environment, log, clock):
    clock.at.append((2, lambda: log.write_text("x" * 9)))
    clock.at.append((3, lambda: log.with_name("thaw.stdout.1").write_text("x")))  # the first is full

    wait_for_log(environment, {"stdout": 10, "stderr": 0})
    assert clock.now == pytest.approx(3, abs=0.1)


def test_it_ends_all_the_same_when_the_log_stays_behind(environment, log, clock):
    wait_for_log(environment, {"stdout": 1, "stderr": 1})
    assert clock.now == pytest.approx(PATIENCE_SECONDS, abs=0.1)


def test_it_does_not_wait_for_a_log_that_is_not_kept(environment, clock):
    wait_for_log(environment, {"stdout": 1, "stderr": 1})
    assert clock.now == 0


def test_bytes_are_counted_as_the_log_has_them():
    stream = Counted(io.BytesIO(), encoding="utf-8")
    print("ééé", file=stream)
    assert stream.size == 7


def test_it_writes_and_ends_as_the_script_does(environment, log, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    log.write_text("x" * 100)

    ended = subprocess.run(
        [sys.executable, "-m", "jobs.tasks.logged", "script"],
        env={**os.environ, **environment, "PYTHONPATH": f"{Path.cwd()}:{tmp_path}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "ééé\n", "bad\n")
