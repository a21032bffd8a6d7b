"""Ends the freeze of the allocation that this runs in, after its other tasks: also when they failed.

The registry then starts again, writable, and without the blobs in its memory that are gone from the store.
If clients reached it through Traefik before, this ends when they do again.
The last line of the log is what the run freed, as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from jobs.tasks.freeze_record import READ_WRITE, freeze_in, variable_of, without_freeze
from jobs.tasks.frozen import ROUTED, is_marked
from jobs.tasks.last_run import record_outcome
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.registry_mode import answers, wait_for_answers, wait_for_route
from jobs.tasks.store_size import SizeError, remembered, store_size

READ_WRITE_SECONDS = 180
ROUTE_SECONDS = 60  # Traefik asks Consul every 15 s by default, and Consul the registry every 5 s


def remove(nomad: Nomad, variable: str, owner: str) -> bool:
    """Remove the record if it is this owner's; whether it was. Raises NomadError."""
    while True:
        found = nomad.get(variable)
        held = freeze_in(found)
        if held is None or held.owner != owner:
            return False
        left, index = without_freeze(found), found["ModifyIndex"]
        try:
            if left:
                nomad.put(variable, {"Items": left}, cas=index)
            else:
                nomad.delete(variable, cas=index)
        except NomadError as error:
            if error.status != 409:  # somebody changed it meanwhile: look again
                raise
        else:
            return True


def thaw(nomad: Nomad, registry: str, owner: str, *, tls: bool) -> str:
    """Remove the record and wait until the registry answers without it; say what was done.

    Raises NomadError. Another job may freeze it at once: then it answers with that one's freeze.
    """
    started = time.monotonic()
    if not remove(nomad, variable_of(registry), owner):
        return "there is no freeze of this job to end"
    deadline = started + READ_WRITE_SECONDS
    if not wait_for_answers(
        nomad, registry, lambda answer: answer.freeze != owner, tls=tls, deadline=deadline
    ):
        return f"ended the freeze, and {registry} is not back yet: `python -m ops why` says why"
    writable = all(
        answer and answer.mode == READ_WRITE for answer in answers(nomad, registry, tls=tls).values()
    )
    how = "writable again" if writable else "back, and read-only for another reason"
    return f"{registry} is {how} after {time.monotonic() - started:.1f} s"


def wait_until_routed(environment: Mapping[str, str]) -> str | None:
    """Wait until clients reach the registry through Traefik again; say what came of it.

    None if it could not be asked from here before the freeze either: then it tells nothing.
    """
    if not is_marked(environment, ROUTED):
        return None
    started, owner = time.monotonic(), environment["NOMAD_ALLOC_ID"]
    deadline = started + ROUTE_SECONDS
    if wait_for_route(environment["ROUTE"], lambda answer: answer.freeze != owner, deadline=deadline):
        return f"Traefik leads to it after another {time.monotonic() - started:.1f} s"
    return (
        f"Traefik at {environment['ROUTE']} does not lead to it after {ROUTE_SECONDS} s: "
        "`python -m ops doctor` says why"
    )


def report(environment: Mapping[str, str]) -> str | None:
    """Tell what the run freed, in words and as JSON; None if freeze measured nothing. Raises SizeError."""
    before = remembered(environment)
    if before is None:
        return None
    freed = before - store_size(Path(environment["STORE"]))
    return f"freed {freed}\n{json.dumps({'freed': asdict(freed)})}"


def main(environment: Mapping[str, str]) -> int:
    """Thaw, then report; the exit code."""
    try:
        freed = report(environment)
    except SizeError as error:
        freed = str(error)
    try:
        nomad, tls = Nomad.of_task(environment), environment["REGISTRY_TLS"] == "true"
        print(thaw(nomad, environment["REGISTRY_JOB"], environment["NOMAD_ALLOC_ID"], tls=tls))
        if routed := wait_until_routed(environment):
            print(routed)
    except NomadError as error:
        # jobs/tasks/freeze.py says why Nomad may refuse, and what happens then.
        print(f"cannot end the freeze: {error}", file=sys.stderr)
        return 1
    record_outcome(nomad, environment)
    if freed:
        print(freed)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
