"""Who is let in: nobody without a log-in, and whoever docker is logged in as on this machine."""

import ssl

import httpx

from checks.certificate import docker_trust
from checks.docker_engine import takes_unverified
from checks.docker_login import Login, docker_config_file, stored_login
from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok
from checks.errors import CheckError
from config.names import Names

_TIMEOUT = httpx.Timeout(30, connect=5)  # seconds; a push waits for the disk


def login_asked_for(facts: Facts) -> Finding:
    """The registry asks who a client is.

    Symptom: Everybody can push and pull, though `auth.mode` says otherwise.

    Cause: What runs is another version of the job than the settings say, or another registry has the
    address.

    Fix: `pulumi up`
    """
    answer, mode = facts.answer(), facts.settings.auth.mode
    if answer is None or answer.code is None:
        return not_looked_at("the registry does not answer")
    if mode == "none":
        return ok("auth.mode is none: nobody is asked")
    if answer.open:
        return failure(f"{answer.url}v2/ lets everybody in, and auth.mode is {mode}", facts.up)
    return ok(f"{answer.url}v2/ asks for a log-in")


def login_works(facts: Facts) -> Finding:
    """The log-in that docker keeps on this machine works.

    Symptom: `unauthorized: authentication required`, `denied`.

    Cause: The password was changed or the token is over; a change of a user takes effect up to 5 minutes
    after `pulumi up`.

    Fix: `docker login registry.homelab.local`; with `auth.mode: vault` `python -m ops login GRANT`.
    """
    settings = facts.settings
    if settings.auth.mode in ("none", "external"):
        return not_looked_at(f"auth.mode is {settings.auth.mode}")
    tried = [(address, login) for address in settings.client_addresses if (login := login_at(facts, address))]
    if not tried:
        file = docker_config_file(facts.env)
        return not_looked_at(f"{file} has no log-in at {' or '.join(settings.client_addresses)}")
    refused = []
    for address, login in tried:
        with client_of(facts, address) as client:
            status = client.get("/v2/", auth=login).status_code
        if status != 200:
            refused.append((f"the log-in at {address} gets {status}", _again(facts, address, login)))
    if refused:
        return failure("; ".join(what for what, _ in refused), "\n".join(fix for _, fix in refused))
    return ok(f"the log-in at {' and '.join(address for address, _ in tried)} works")


CHECKS = (login_asked_for, login_works)


def login_at(facts: Facts, address: str) -> Login | None:
    """Read docker's log-in at an address. Raises CheckError."""
    return stored_login(docker_config_file(facts.env), address)


def speaks_plain(names: Names, address: str) -> bool:
    """Whether there is no TLS at an address; Traefik's own has it, also if it is all that there is."""
    return names.tls.mode != "registry" and address != names.traefik_address


def client_of(facts: Facts, address: str) -> httpx.Client:
    """Make a client that gives a log-in to whom docker would give it. Raises CheckError otherwise."""
    plain = speaks_plain(facts.settings, address)
    unverified = takes_unverified(facts.engine(), address, facts.addresses())
    if plain and not unverified:
        raise CheckError(f"{address} speaks plain HTTP, where docker gives no password")
    trust: ssl.SSLContext | bool = False if plain or unverified else docker_trust(address)
    return httpx.Client(
        base_url=f"{'http' if plain else 'https'}://{address}",
        verify=trust,
        timeout=_TIMEOUT,
        trust_env=False,
    )


def _again(facts: Facts, address: str, login: Login) -> str:
    settings = facts.settings
    if settings.auth.mode == "vault":
        return facts.ops(f"login {min(settings.auth.grants, default='GRANT')}")
    known = login.user in settings.auth.users
    user = login.user if known else min(settings.auth.users, default="NAME")
    return f"docker login --username {user} {address}"
