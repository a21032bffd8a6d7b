"""Makes the registry read-only for the allocation that this runs in, before its main task starts.

With AFTER it waits for the task of that name, which may find that there is no use in a freeze. One job at a
time: whoever comes second waits. The allocation's last task, thaw, ends the freeze. When this
script is done there is a file `frozen` in the allocation's folder, for tasks that start beside it.

Nomad takes no token of an allocation that failed (nomad/acl.go, VerifyClaim), so there thaw can do nothing.
Then Nomad starts one more allocation of the job, and this script ends the freeze that the failed one left.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jobs.tasks.freeze_record import Freeze, freeze_in, is_over, variable_of, with_freeze
from jobs.tasks.frozen import ROUTED, mark, wait_until_frozen
from jobs.tasks.last_run import record
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.registry_mode import answer_at, running_allocations, wait_for_answers
from jobs.tasks.store_size import SizeError, remember
from jobs.tasks.thaw import remove, thaw

LONGEST_WAIT_SECONDS = 6 * 3600  # for another job: a first backup over a slow line takes hours
# Uploads have the registry's draintimeout to end, at most Nomad's max_kill_timeout; and it starts again.
READ_ONLY_SECONDS = 180
_PAUSE_SECONDS = 2


class FreezeError(Exception):
    """The registry could not be made read-only; the message says why, and what to do."""


def freeze(nomad: Nomad, registry: str, mine: Freeze, *, tls: bool, node: str | None) -> None:
    """Take the freeze, and wait until the registry answers that this one holds it.

    `node` is where the registry has to run, None where it does not matter. Raises FreezeError or NomadError;
    then the registry is as it was.
    """
    where = {each["NodeID"] for each in running_allocations(nomad, registry)}
    if not where:
        raise FreezeError(f"job {registry} does not run: `python -m ops why` says why")
    if node and where != {node}:
        raise FreezeError(
            f"this is node {node}, and {registry} runs on node {', '.join(sorted(where))}: only one Nomad "
            "client may offer the volume; remove it from the configuration of the others"
        )
    take(nomad, variable_of(registry), mine)
    try:
        deadline = time.monotonic() + READ_ONLY_SECONDS
        # By the mode alone it might be another one's freeze, of which the registry has not heard the end yet.
        if not wait_for_answers(
            nomad, registry, lambda answer: answer.freeze == mine.owner, tls=tls, deadline=deadline
        ):
            raise FreezeError(
                f"{registry} does not answer read-only after {READ_ONLY_SECONDS} s: "
                "`python -m ops status` says what it does"
            )
    except BaseException:
        remove(nomad, variable_of(registry), mine.owner)
        raise


def recover(nomad: Nomad, registry: str, failed: str, *, tls: bool) -> None:
    """End the freeze that a failed allocation left. Raises FreezeError always: its work is not done again."""
    done = thaw(nomad, registry, failed, tls=tls)
    raise FreezeError(f"allocation {failed[:8]} failed, and its log says why. {done}")


def take(nomad: Nomad, variable: str, mine: Freeze) -> None:
    """Write the record, as soon as no other allocation that still works holds it."""
    deadline, waits_for = time.monotonic() + LONGEST_WAIT_SECONDS, None
    while True:
        found = nomad.get(variable)
        held = freeze_in(found)
        if held and held.owner == mine.owner:
            return
        if held is None or _is_abandoned(nomad, held):
            if _write(nomad, variable, found, mine):
                print(f"took over the freeze that {held.job} left" if held else "took the freeze")
                return
            continue  # another job was faster: look again
        if held != waits_for:
            print(f"waiting: {_words(held)}")
            waits_for = held
        if time.monotonic() > deadline:
            raise FreezeError(
                f"{_words(held)}: `python -m ops status` shows it, `python -m ops thaw` ends it"
            )
        time.sleep(_PAUSE_SECONDS)


def _is_abandoned(nomad: Nomad, held: Freeze) -> bool:
    return not held.is_by_hand and is_over(nomad.get(f"/v1/allocation/{held.owner}"))


def _words(held: Freeze) -> str:
    who = "somebody" if held.is_by_hand else held.job
    return f"{who} holds the registry read-only" + (f" since {held.since}" if held.since else "")


def _write(nomad: Nomad, variable: str, found: Mapping[str, Any] | None, mine: Freeze) -> bool:
    """Write the record if nobody changed the variable since it was read."""
    try:
        nomad.put(variable, {"Items": with_freeze(found, mine)}, cas=found["ModifyIndex"] if found else 0)
    except NomadError as error:
        if error.status == 409:
            return False
        raise
    return True


def main(environment: Mapping[str, str]) -> int:
    """Freeze for this allocation; the exit code."""
    registry, started = environment["REGISTRY_JOB"], time.monotonic()
    mine = Freeze(
        owner=environment["NOMAD_ALLOC_ID"],
        job=environment["NOMAD_JOB_ID"],
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        nomad = Nomad.of_task(environment)
        own = nomad.get(f"/v1/allocation/{mine.owner}")
        tls = environment["REGISTRY_TLS"] == "true"
        if failed := own.get("PreviousAllocation"):
            try:
                recover(nomad, registry, failed, tls=tls)
            finally:
                record(nomad, environment, succeeded=False)
        if "AFTER" in environment:
            wait_until_frozen(environment)
        if (route := environment.get("ROUTE")) and answer_at(route):
            mark(environment, ROUTED)
        shared = environment["SHARES_VOLUME"] == "true"
        freeze(nomad, registry, mine, tls=tls, node=own["NodeID"] if shared else None)
        print(f"{registry} is read-only after {time.monotonic() - started:.1f} s")
        remember(environment)
        mark(environment)
    except (FreezeError, NomadError, SizeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for; the freeze is not to stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
