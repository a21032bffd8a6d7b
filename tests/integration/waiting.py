"""Waiting for what servers do in their own time."""

import time


def until(held, seconds=180, interval=0.05):
    """Ask again until the answer is true, and give it; an AssertionError after so many seconds.

    These are many times what it takes: clusters share a machine, and a wait that ends well costs nothing.
    """
    deadline = time.monotonic() + seconds
    while not (found := held()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(interval)
    return found
