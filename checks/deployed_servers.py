"""Whether the servers of the last deploy still answer: the engine asks those before the program runs."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from checks.errors import AnswerError, CheckError
from checks.servers import Server
from config.providers import Endpoint, Providers

# Which question a server answers only to who has a good token; Nomad and Consul may have no ACLs.
_TOKENS = {
    "Nomad": "/v1/acl/token/self",
    "Consul": "/v1/acl/token/self",
    "Vault": "/v1/auth/token/lookup-self",
}


def require_deployed_servers(stack: str, wanted: Providers, deployed: Sequence[Endpoint]) -> None:
    """Raise CheckError if the engine cannot refresh: it does so with the settings that the state has.

    Those of the stack file it knows only when the program runs, after the refresh; `deployed` is what the
    state has, `wanted` what the stack has now. One that did not change is left out.
    """
    changed = [each for each in deployed if each not in (wanted.nomad, wanted.consul, wanted.vault)]
    if not changed:
        return
    with ThreadPoolExecutor(len(changed)) as pool:
        found = [problem for problems in pool.map(_problems, changed) for problem in problems]
    if found:
        raise CheckError(
            "the last `pulumi up` used another address or token than the stack has now, and the engine asks "
            "there first:\n"
            + "".join(f"  {problem}\n" for problem in dict.fromkeys(found))
            + "Let it leave that out, once; then it uses the new ones:\n"
            f"  pulumi up --refresh=false --stack {stack}"
        )


def _problems(endpoint: Endpoint) -> list[str]:
    return list(_asked(Server(endpoint, endpoint.token)))


def _asked(server: Server) -> Iterator[str]:
    where = f"{server.name} at {server.address}"
    try:
        if server.has_token:
            server.get(_TOKENS[server.name])
        else:
            server.clock()
    except AnswerError as error:
        if "ACL support disabled" not in error.reason:
            yield f"{where} answers {error.status} to the token of then: {error.reason}"
    except CheckError as error:
        yield str(error).partition(": start it")[0]
    finally:
        server.close()
