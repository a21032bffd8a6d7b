"""Waiting for what servers do in their own time."""

import time

import httpx


def until(held, seconds=180, interval=0.05):
    """Ask again until the answer is true, and give it; an AssertionError after so many seconds.

    These are many times what it takes: clusters share a machine, and a wait that ends well costs nothing.
    A server that is away or slow when it is asked is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := held():
                return found
        except httpx.TransportError as error:
            found = error
        assert time.monotonic() < deadline, f"not within {seconds} s, at last: {found!r}"
        time.sleep(interval)
