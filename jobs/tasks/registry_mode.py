"""How the registry that runs answers, at its own port and at Traefik: in which mode, and frozen by whom."""

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.tasks.freeze_record import FREEZE_HEADER, MODE_HEADER
from jobs.tasks.nomad_api import Nomad, NomadError

TASK = "registry"  # the registry's own in its job
TIMEOUT_SECONDS = 5
# Nomad drops the restart for a template that changes while the task starts (hashicorp/nomad #22224): it would
# go on with the old config.yml. A restart that Nomad does begin ends the answers within two seconds.
STALE_SECONDS = 20
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class Answer:
    """What one allocation of the registry told."""

    mode: str | None
    freeze: str | None  # the allocation that holds the freeze which it knows; None: it knows none


def wait_for_answers(
    nomad: Nomad, registry: str, wanted: Callable[[Answer], bool], *, tls: bool, deadline: float
) -> bool:
    """Wait until every allocation of the job answers as wanted; False if not by `deadline` (monotonic s).

    One that goes on answering otherwise for STALE_SECONDS is started again. Raises NomadError.
    """
    since: dict[str, float] = {}  # that an allocation answers otherwise
    while True:
        found, now = answers(nomad, registry, tls=tls), time.monotonic()
        if found and all(answer and wanted(answer) for answer in found.values()):
            return True
        if now > deadline:
            return False
        for allocation, answer in found.items():
            if answer is None or wanted(answer):
                since.pop(allocation, None)
            elif now - since.setdefault(allocation, now) > STALE_SECONDS:
                print(f"allocation {allocation[:8]} did not notice the change: starting it again")
                del since[allocation]
                try:
                    nomad.put(f"/v1/client/allocation/{allocation}/restart", {"TaskName": TASK})
                except NomadError as error:  # it may have ended, or notice still
                    print(error)
        time.sleep(_PAUSE_SECONDS)


def answers(nomad: Nomad, registry: str, *, tls: bool) -> dict[str, Answer | None]:
    """Ask each allocation of the job, by its id; None is one that does not answer. Raises NomadError."""
    found = [nomad.get(f"/v1/allocation/{each['ID']}") for each in running_allocations(nomad, registry)]
    there = {allocation["ID"]: allocation for allocation in found if allocation}
    with ThreadPoolExecutor() as pool:  # one that hangs takes TIMEOUT_SECONDS
        return dict(zip(there, pool.map(partial(_ask, tls=tls), there.values()), strict=True))


def running_allocations(nomad: Nomad, registry: str) -> list[Mapping[str, Any]]:
    """Find the allocations that run, or start again. Raises NomadError."""
    found = nomad.get(f"/v1/job/{registry}/allocations") or []
    return [each for each in found if each["ClientStatus"] in ("running", "pending")]


def answer_at(route: str) -> Answer | None:
    """Ask Traefik for the registry, at host:port; None if the registry does not answer there."""
    host, _, port = route.rpartition(":")
    answer = _ask_at(host, int(port), tls=True)
    return answer if answer and answer.mode else None


def wait_for_route(route: str, wanted: Callable[[Answer], bool], *, deadline: float) -> bool:
    """Wait until Traefik leads to a registry that answers as wanted; False if not by `deadline`."""
    while not ((answer := answer_at(route)) and wanted(answer)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _ask(allocation: Mapping[str, Any], *, tls: bool) -> Answer | None:
    ports = allocation["AllocatedResources"]["Shared"]["Ports"]
    port = next(each for each in ports if each["Label"] == "registry")
    return _ask_at(port["HostIP"], port["Value"], tls=tls)


def _ask_at(host: str, number: int, *, tls: bool) -> Answer | None:
    connection: http.client.HTTPConnection
    if tls:
        # The certificate is for the name. Nothing is sent and only a word is read, from this machine.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, number, timeout=TIMEOUT_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, number, timeout=TIMEOUT_SECONDS)
    try:
        # A 401 carries the headers too; `/` is answered outside of the API (registry/registry.go, alive).
        connection.request("GET", "/v2/")
        told = connection.getresponse()
        return Answer(told.getheader(MODE_HEADER), told.getheader(FREEZE_HEADER))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
