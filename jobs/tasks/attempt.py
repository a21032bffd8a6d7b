"""Tries a piece of work in a process of its own, so that the script goes on whatever becomes of it."""

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

MIB = 1024 * 1024
# Of the task's memory, for the script that waits: Nomad takes a task for failed as soon as the kernel killed
# any process of its container for memory (Nomad, drivers/docker/handle.go), so it must not come to that.
_OWN_MEMORY = 24 * MIB
_NO_MEMORY = 2  # exit code


class AttemptError(Exception):
    """The work was not done, or not to its end; the message says why."""


def attempt(work: Callable[[], None], *, seconds: float, memory: int | None = None) -> None:
    """Do the work, and print what it prints. Raises AttemptError.

    `seconds` is how long it may take, `memory` how many bytes of address space it may have; None is no limit.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _do(work, writing, memory)
    os.close(writing)
    last, late = "", False
    for line in _lines(reading, time.monotonic() + seconds):
        if line is None:
            late = True
            os.kill(child, signal.SIGKILL)
            break
        if last:
            print(last)
        last = line
    os.close(reading)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 1:
        raise AttemptError(last)
    if last:
        print(last)
    if late:
        raise AttemptError(f"it took longer than {seconds:.0f} s")
    if code == _NO_MEMORY:
        have = f" than the {memory / MIB:.0f} MiB that it may have" if memory else ""
        raise AttemptError(f"it needs more memory{have}")
    if code:
        raise AttemptError(f"it ended with {code}")


def memory_for_attempts(environment: Mapping[str, str]) -> int | None:
    """Give the bytes that work may have in a task whose memory Nomad limits; None if it does not."""
    limit = environment.get("NOMAD_MEMORY_LIMIT")  # MiB (Nomad: Runtime Environment Settings)
    return int(limit) * MIB - _OWN_MEMORY if limit else None


def _do(work: Callable[[], None], output: int, memory: int | None) -> None:
    """Be the process that works: never returns. Its last line is why it failed, if it did."""
    code = 1
    try:
        sys.stdout = sys.stderr = os.fdopen(
            output, "w", buffering=1, encoding="utf-8", errors="backslashreplace"
        )
        # Address space, which also the old kernel of DSM limits however it was asked for.
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        work()
        code = 0
    except MemoryError:
        code = _NO_MEMORY
    except AttemptError as error:
        print(error)
    except BaseException:  # whatever it is, it ends here
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


def _lines(told: int, deadline: float) -> Iterator[str | None]:
    """Give the lines that come until the other end closes; None once it is too late for more."""
    rest = b""
    while True:
        ready, _, _ = select.select([told], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            yield None
            return
        got = os.read(told, 65536)
        *lines, rest = (rest + got).split(b"\n")
        for line in lines:
            yield line.decode(errors="backslashreplace")
        if not got:
            if rest:
                yield rest.decode(errors="backslashreplace")
            return
