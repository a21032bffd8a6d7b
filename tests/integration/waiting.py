"""Waiting for what servers do in their own time."""

import time


def until(held, seconds=60, interval=0.05):
    """Ask again until the answer is true, and give it; an AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := held()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(interval)
    return found
