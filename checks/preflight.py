"""What must hold before anything is created, asked of all servers side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from checks import consul, nomad, upstreams, vault
from checks.errors import CheckError
from checks.servers import Servers
from config.settings import Settings


def preflight(settings: Settings, servers: Servers) -> None:
    """Raise one CheckError with everything that stands in the way of a deploy."""
    checks: list[Callable[[], list[str]]] = [
        lambda: nomad.problems(settings, servers.nomad),
        lambda: consul.problems(settings, servers.consul, servers.nomad),
        lambda: vault.problems(settings, servers.vault),
        lambda: upstreams.problems(settings),
    ]
    with ThreadPoolExecutor(len(checks)) as pool:
        found = [problem for problems in pool.map(_run, checks) for problem in problems]
    if found:
        raise CheckError("\n".join(dict.fromkeys(found)))  # two of them may say that one server is down


def _run(check: Callable[[], list[str]]) -> list[str]:
    try:
        return check()
    except CheckError as error:
        return [str(error)]
