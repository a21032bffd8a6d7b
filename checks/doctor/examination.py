"""All checks, run side by side."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from checks.doctor import (
    clock,
    job,
    login,
    machine,
    maintenance,
    mirrors,
    monitoring,
    network,
    redis,
    secrets,
    servers,
    service,
    store,
    tls,
    traefik,
    volume,
    write,
)
from checks.doctor.facts import Facts
from checks.doctor.finding import CheckFunction, Finding, id_of, not_looked_at
from checks.errors import CheckError

# By the order in which a person would look; each group is a module.
CHECKS: tuple[CheckFunction, ...] = (
    *servers.CHECKS,
    *job.CHECKS,
    *service.CHECKS,
    *network.CHECKS,
    *traefik.CHECKS,
    *tls.CHECKS,
    *login.CHECKS,
    *write.CHECKS,
    *volume.CHECKS,
    *store.CHECKS,
    *maintenance.CHECKS,
    *redis.CHECKS,
    *mirrors.CHECKS,
    *monitoring.CHECKS,
    *secrets.CHECKS,
    *clock.CHECKS,
    *machine.CHECKS,
)
_THREADS = 16  # they wait for servers most of the time


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A check and what it found."""

    id: str
    finding: Finding


def examine(facts: Facts, checks: Sequence[CheckFunction] = CHECKS) -> list[Examined]:
    """Run the checks; what cannot be looked at is a finding too."""
    with ThreadPoolExecutor(_THREADS) as pool:
        findings = list(pool.map(partial(_look, facts), checks))
    return [
        Examined(id=id_of(check), finding=finding) for check, finding in zip(checks, findings, strict=True)
    ]


def _look(facts: Facts, check: CheckFunction) -> Finding:
    try:
        return check(facts)
    except CheckError as error:
        return not_looked_at(str(error).partition("\n")[0])
    except Exception as error:  # an odd answer of a sick server hides no other finding
        return not_looked_at(f"{type(error).__name__}: {error}")
