"""Starts each mirror anew whose cache is above its limit; its evict task then makes room before it serves.

A mirror's store is its own while it runs, so nothing is removed here. distribution asks the upstream when
it starts: while that is away, a mirror would not come back, and is left as it is. Prints a line of JSON for
each.
"""

import http.client
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.store_size import SizeError, store_size

UPSTREAM_SECONDS = 10
PATIENCE_SECONDS = 900  # for a mirror that lets its pulls end, and for the eviction itself
_LOG_SECONDS = 10  # for the last lines, which come later than the end of their task
_PAUSE_SECONDS = 1


class EvictionError(Exception):
    """A mirror did not come back smaller; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """The job with the mirrors, a group each, in which the task `evict` comes first."""

    nomad: Nomad
    job: str
    evict: str

    def restart(self, name: str) -> Mapping[str, Any]:
        """Have a mirror's allocation replaced, and give what the new one's eviction reports.

        Raises EvictionError, NomadError.
        """
        old = self._running(name)
        if old is None:
            raise EvictionError("it does not run, so nothing was stopped; it makes room when it starts")
        self.nomad.put(f"/v1/allocation/{old}/stop", {})
        return self._report(self._replacement(name, old))

    def _running(self, name: str) -> str | None:
        return next((each["ID"] for each in self._placed(name) if each["ClientStatus"] == "running"), None)

    def _placed(self, name: str) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.nomad.get(f"/v1/job/{self.job}/allocations") or ()
        return [each for each in found if each["TaskGroup"] == name and each["DesiredStatus"] == "run"]

    def _replacement(self, name: str, old: str) -> str:
        """Wait for the allocation in place of the old one, until its mirror runs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for each in self._placed(name):
                if each["ID"] != old and each["ClientStatus"] == "running" and self._has_evicted(each):
                    allocation: str = each["ID"]
                    return allocation
            time.sleep(_PAUSE_SECONDS)
        raise EvictionError(
            f"it does not run again after {PATIENCE_SECONDS} s: `nomad job status {self.job}` says why"
        )

    def _has_evicted(self, allocation: Mapping[str, Any]) -> bool:
        states: Mapping[str, Mapping[str, Any]] = allocation["TaskStates"] or {}
        ended = states.get(self.evict, {}).get("State") == "dead"
        return ended and any(state["State"] == "running" for state in states.values())

    def _report(self, allocation: str) -> Mapping[str, Any]:
        """Read the last line of the eviction's log."""
        deadline = time.monotonic() + _LOG_SECONDS
        while time.monotonic() < deadline:
            text = self.nomad.text(
                f"/v1/client/fs/logs/{allocation}",
                task=self.evict,
                type="stdout",
                origin="start",
                plain="true",
            )
            try:
                report: Mapping[str, Any] = json.loads(text.splitlines()[-1])
                return report
            except (IndexError, ValueError):
                time.sleep(_PAUSE_SECONDS)
        raise EvictionError(f"its eviction reported nothing: `nomad alloc logs {allocation} {self.evict}`")


def answers(upstream: str) -> bool:
    """Whether a registry answers, whatever it says."""
    try:
        with urllib.request.urlopen(f"{upstream}/v2/", timeout=UPSTREAM_SECONDS):  # noqa: S310 - http(s)
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException, ValueError):
        return False


def relieve(
    mirrors: Mirrors, caches: Path, limits: Mapping[str, Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Go through the mirrors, one after the other: at most one is away at a time."""
    for name, mirror in limits.items():
        told = {"mirror": name, "limit": mirror["limit"]}
        try:
            told["bytes"] = store_size(caches / name).bytes
            if told["bytes"] <= mirror["limit"]:
                yield told
            elif not answers(mirror["upstream"]):
                reason = f"{mirror['upstream']} does not answer, and without it the mirror would not start"
                yield {**told, "problem": f"left as it is: {reason}"}
            else:
                report = mirrors.restart(name)
                problem = {"problem": report["problem"]} if "problem" in report else {}
                yield {**told, "evicted": report, **problem}
        except (EvictionError, NomadError, SizeError) as error:
            yield {**told, "problem": str(error)}


def main(environment: Mapping[str, str]) -> int:
    """Run as the job's task; gives the exit code."""
    try:
        nomad = Nomad.of_task(environment)
    except NomadError as error:
        print(error, file=sys.stderr)
        return 1
    mirrors = Mirrors(nomad=nomad, job=environment["MIRRORS_JOB"], evict=environment["EVICT_TASK"])
    problems = 0
    for told in relieve(mirrors, Path(environment["CACHES"]), json.loads(environment["MIRRORS"])):
        print(json.dumps(told))
        if "problem" in told:
            print(f"{told['mirror']}: {told['problem']}", file=sys.stderr)
            problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
