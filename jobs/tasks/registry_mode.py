"""How the registry that runs answers, asked at its own port: in which mode, and frozen by whom."""

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.tasks.freeze_record import FREEZE_HEADER, MODE_HEADER
from jobs.tasks.nomad_api import Nomad

TIMEOUT_SECONDS = 5
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

    Raises NomadError.
    """
    while not all(answer and wanted(answer) for answer in answers(nomad, registry, tls=tls) or [None]):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def answers(nomad: Nomad, registry: str, *, tls: bool) -> list[Answer | None]:
    """Ask each allocation of the job; None is one that does not answer. Raises NomadError."""
    found = [nomad.get(f"/v1/allocation/{each['ID']}") for each in running_allocations(nomad, registry)]
    return [_ask(allocation, tls=tls) for allocation in found if allocation]


def running_allocations(nomad: Nomad, registry: str) -> list[Mapping[str, Any]]:
    """Find the allocations that run, or start again. Raises NomadError."""
    found = nomad.get(f"/v1/job/{registry}/allocations") or []
    return [each for each in found if each["ClientStatus"] in ("running", "pending")]


def _ask(allocation: Mapping[str, Any], *, tls: bool) -> Answer | None:
    ports = allocation["AllocatedResources"]["Shared"]["Ports"]
    port = next(each for each in ports if each["Label"] == "registry")
    host, number = port["HostIP"], port["Value"]
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
