"""All checks, run side by side."""

import time
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
# Seconds before a failure is looked for again: a restart takes 2, and Consul checks the registry every 5.
_PAUSES = (2, 5)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A check and what it found."""

    id: str
    finding: Finding


def examine(facts: Facts, checks: Sequence[CheckFunction] = CHECKS) -> list[Examined]:
    """Run the checks; what cannot be looked at is a finding too.

    A failure counts if it is still there when it is looked for again: a registry that restarts, a check of
    Consul's that came too late on a busy machine, a server that took too long for one answer all pass.
    """
    found = _looked_at(facts, checks)
    for pause in _PAUSES:
        doubtful = [check for check, finding in found.items() if finding.state == "failure"]
        if not doubtful:
            break
        time.sleep(pause)
        found |= _looked_at(facts.anew(), doubtful)
    return [Examined(id=id_of(check), finding=found[check]) for check in checks]


def _looked_at(facts: Facts, checks: Sequence[CheckFunction]) -> dict[CheckFunction, Finding]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(checks, pool.map(partial(_look, facts), checks), strict=True))


def _look(facts: Facts, check: CheckFunction) -> Finding:
    try:
        return check(facts)
    except CheckError as error:
        return not_looked_at(str(error).partition("\n")[0])
    except Exception as error:  # an odd answer of a sick server hides no other finding
        return not_looked_at(f"{type(error).__name__}: {error}")
