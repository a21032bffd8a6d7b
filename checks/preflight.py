"""What must hold before anything is created, asked of all servers side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from checks import consul, nomad, upstreams, vault
from checks.errors import CheckError
from checks.servers import Servers
from config.settings import Settings

_Check = Callable[[], list[str]]


def preflight(settings: Settings, servers: Servers) -> None:
    """Raise one CheckError with everything that stands in the way of a deploy."""
    _require([*_of_servers(settings, servers), lambda: upstreams.problems(settings)])


def require_servers(settings: Settings, servers: Servers) -> None:
    """Raise one CheckError with everything that Nomad, Consul and Vault have against a deploy.

    For before the engine is started, which tries a Vault that is down for 12 s and names no setting. What is
    on the Internet is not asked: a server that is down is to be known in a second.
    """
    _require(_of_servers(settings, servers))


def _of_servers(settings: Settings, servers: Servers) -> list[_Check]:
    return [
        lambda: nomad.problems(settings, servers.nomad),
        lambda: consul.problems(settings, servers.consul, servers.nomad),
        lambda: vault.problems(settings, servers.vault),
    ]


def _require(checks: list[_Check]) -> None:
    with ThreadPoolExecutor(len(checks)) as pool:
        found = [problem for problems in pool.map(_run, checks) for problem in problems]
    if found:
        raise CheckError("\n".join(dict.fromkeys(found)))  # two of them may say that one server is down


def _run(check: _Check) -> list[str]:
    try:
        return check()
    except CheckError as error:
        return [str(error)]
