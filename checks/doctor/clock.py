"""Whether the servers' clocks agree with this machine's."""

from concurrent.futures import ThreadPoolExecutor

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, ok, warning
from checks.servers import Server

_NOTICED, _HARMFUL = 5, 60  # seconds; the registry allows tokens a minute (distribution, token.go: Leeway)


def clocks_agree(facts: Facts) -> Finding:
    """The servers' clocks agree with this machine's.

    Symptom: With `auth.mode: vault` fresh tokens get 401; certificates are "not yet valid".

    Cause: A machine does not set its clock by the network.

    Fix: `timedatectl set-ntp true` on that machine.
    """
    servers = (facts.servers.nomad, facts.servers.consul, facts.servers.vault)
    with ThreadPoolExecutor(len(servers)) as pool:
        skews = dict(
            zip(
                (server.name for server in servers), pool.map(lambda s: _skew(facts, s), servers), strict=True
            )
        )
    worst = max(skews, key=lambda name: abs(skews[name]))
    if abs(skews[worst]) <= _NOTICED:
        return ok(f"they differ by {abs(skews[worst]):.0f} s at most")
    ahead = "ahead of" if skews[worst] > 0 else "behind"
    what = f"the clock of {worst}'s machine is {abs(skews[worst]):.0f} s {ahead} this one's"
    fix = f"timedatectl set-ntp true   # on {worst}'s machine and here"
    return failure(what, fix) if abs(skews[worst]) > _HARMFUL else warning(what, fix)


CHECKS = (clocks_agree,)


def _skew(facts: Facts, server: Server) -> float:
    """Give the seconds by which a server is ahead; its answer tells whole seconds, cut off."""
    before = facts.clock()
    told = server.clock()
    after = facts.clock()
    if told > after:
        return told - after
    return min(told + 1 - before, 0)
