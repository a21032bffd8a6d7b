import os
import resource
import sys
from pathlib import Path

import pytest

from jobs.tasks.attempt import MIB, AttemptError, attempt, memory_for_attempts


def test_what_the_work_prints_is_printed_in_order_and_as_it_comes(capsys):
    def work():
        for number in range(5000):
            print(number)
        print("to the other stream", file=sys.stderr)
        print("without an end of line", end="")

    attempt(work, seconds=60)

    assert capsys.readouterr().out.splitlines() == [
        *map(str, range(5000)), "to the other stream", "without an end of line"
    ]  # fmt: skip


def test_work_that_says_nothing_is_done_in_silence(capsys):
    attempt(lambda: None, seconds=60)

    assert capsys.readouterr() == ("", "")


def test_work_is_stopped_at_its_own_limit_of_memory_and_not_at_the_tasks(capsys):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

    def work():
        print("began")
        bytearray(used + 512 * MIB)

    with pytest.raises(AttemptError, match=r"it needs more memory than the \d+ MiB that it may have"):
        attempt(work, seconds=60, memory=used + 256 * MIB)
    attempt(lambda: bytearray(64 * MIB), seconds=60, memory=used + 256 * MIB)


def test_the_limit_leaves_room_in_the_tasks_memory_for_the_script_that_waits():
    assert memory_for_attempts({"NOMAD_MEMORY_LIMIT": "128"}) == 104 * MIB
    assert memory_for_attempts({}) is None


def test_work_that_fails_says_why_and_what_it_printed_before(capsys):
    def work():
        print("first")
        raise ValueError("no such thing")

    with pytest.raises(AttemptError, match="ValueError: no such thing"):
        attempt(work, seconds=60)
    assert capsys.readouterr().out.startswith("first\n")


def test_work_that_ends_its_process_has_failed_too():
    with pytest.raises(AttemptError, match="it ended with 7"):
        attempt(lambda: os._exit(7), seconds=60)


def test_nothing_of_the_work_goes_on_in_the_script():
    there = []

    attempt(lambda: there.append(1), seconds=60)

    assert there == []
