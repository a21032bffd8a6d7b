"""Traefik itself, asked by its API where that can be reached, else known by what the registry logs."""

import re
from typing import Any

import httpx

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.errors import CheckError
from checks.task_log import last_lines
from jobs.registry import route_tags
from jobs.tasks.registry_mode import TASK

_LEAST = (2, 11)  # the first with the middleware ipAllowList (Traefik, migration guide)
_CUT = "client disconnected during blob PATCH"  # what the registry logs of a push that was cut
_TIMEOUT = httpx.Timeout(10, connect=2)  # seconds


def traefik_version(facts: Facts) -> Finding:
    """Traefik is new enough.

    Symptom: With `access.allowedCidrs` Traefik answers 404.

    Cause: Traefik before 2.11 does not know the middleware `ipAllowList`.

    Fix: a newer Traefik.
    """
    version = str(_asked(facts, "/api/version")["Version"])
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if facts.settings.access.allowed_cidrs and numbers and numbers < _LEAST:
        return failure(
            f"Traefik is {version}, and access.allowedCidrs needs 2.11", "install Traefik 2.11 or newer"
        )
    return ok(f"Traefik {version}")


def traefik_read_timeout(facts: Facts) -> Finding:
    """Traefik does not cut long pushes.

    Symptom: Pushes of big layers break off after 60 s; the registry logs `client disconnected during blob
    PATCH`.

    Cause: Since 2.11.2 and 3.0 Traefik's entry points end every request after 60 s. No tag of a service
    changes that.

    Fix: in Traefik's static configuration `entryPoints.websecure.transport.respondingTimeouts.readTimeout:
    0`, then `systemctl restart traefik`.
    """
    entry, allocation = facts.settings.tls.entry_point, facts.allocation()
    setting = f"entryPoints.{entry}.transport.respondingTimeouts.readTimeout: 0"
    fix = f"{setting}   # in Traefik's static configuration, then restart it"
    try:
        found = _asked(facts, f"/api/entrypoints/{entry}")
    except CheckError as error:
        if allocation is None:
            raise
        namespace = facts.settings.registry.namespace
        logged = last_lines(facts.servers.nomad, namespace, allocation["ID"], TASK, "stderr")
        if any(_CUT in line for line in logged):
            return warning("the registry logs pushes that were cut off", fix)
        return not_looked_at(str(error))
    # Traefik leaves out what is zero, which means no limit.
    limit = found.get("transport", {}).get("respondingTimeouts", {}).get("readTimeout")
    if limit is None:
        return ok(f"entry point {entry} has no readTimeout")
    return failure(f"entry point {entry} ends every request after {limit}", fix)


def traefik_knows(facts: Facts) -> Finding:
    """Traefik has a router for the registry, without errors.

    Symptom: 404 "page not found" from Traefik.

    Cause: Traefik does not see the service in Consul, or refuses the router: no such entry point or
    resolver.

    Fix: `tls.entryPoint` and `tls.certResolver` as Traefik has them, then `pulumi up`; or Traefik's Consul
    catalog provider, and its `constraints`.
    """
    router, service = _router(facts)
    try:
        found = _asked(facts, router)
    except CheckError as error:
        if "404" not in str(error):
            raise
        return failure(f"Traefik has no router for {service}", f"{facts.why}\n{unseen_service(facts)}")
    if errors := found.get("error"):
        said = "; ".join(errors)
        setting = facts.set("tls.entryPoint", "NAME")
        return failure(
            f"Traefik refuses the router: {said}", f"{setting}   # or tls.certResolver\n{facts.up}"
        )
    return ok(f"Traefik has the router {found['name']}")


CHECKS = (traefik_version, traefik_read_timeout, traefik_knows)


def unseen_service(facts: Facts) -> str:
    """What Traefik's static configuration needs to see the service (Traefik: Consul Catalog provider)."""
    settings, entry = facts.settings, facts.settings.tls.entry_point
    tags = route_tags(settings, settings.registry.service)
    own = next(tag for tag in tags if ".entrypoints=" in tag)  # no other service has it
    constraints = (
        f'providers.consulCatalog.constraints: "(THOSE) || Tag(`{own}`)"'
        "   # in Traefik's static configuration, if it has constraints; then restart it"
    )
    if _routes_other_services(facts):  # so it reaches Consul, and leaves this one out
        return constraints
    address = facts.servers.consul.address.partition("://")[2]
    where = f"in Traefik's static configuration, with an entry point {entry}; then restart it"
    return f"providers.consulCatalog.endpoint.address: {address}   # {where}\n{constraints}"


def body_limits(facts: Facts) -> list[str]:
    """Name the middlewares before the registry that refuse big requests. Raises CheckError.

    Traefik: middleware Buffering, `maxRequestBodyBytes`; a router has those of its entry point too.
    """
    path, _ = _router(facts)
    limits = {}
    for name in _asked(facts, path).get("middlewares", ()):
        middleware = _asked(facts, f"/api/http/middlewares/{name}")
        limits[name] = middleware.get("buffering", {}).get("maxRequestBodyBytes")
    return [f"{name} ({limit} bytes)" for name, limit in limits.items() if limit]


def _routes_other_services(facts: Facts) -> bool:
    try:
        found = [
            router
            for kind in ("http", "tcp")
            for router in _asked(facts, f"/api/{kind}/routers?per_page=1000")
        ]
    except CheckError:
        return False
    return any(router["provider"] == "consulcatalog" for router in found)


def _router(facts: Facts) -> tuple[str, str]:
    """Give the API's path of the router, and the service's name."""
    service, kind = (
        facts.settings.registry.service,
        "tcp" if facts.settings.tls.mode == "registry" else "http",
    )
    return f"/api/{kind}/routers/{service}@consulcatalog", service


def _asked(facts: Facts, path: str) -> Any:
    """Ask Traefik's API. Raises CheckError."""
    if facts.settings.tls.mode == "plain":
        raise CheckError("tls.mode is plain: Traefik is not in the way")
    address = facts.traefik_api or f"http://{facts.settings.registry.hostname}:8080"
    try:
        # Loading the system's authorities takes a while, and is for nothing without TLS.
        verify = address.startswith("https:")
        answer = httpx.get(address.rstrip("/") + path, timeout=_TIMEOUT, trust_env=False, verify=verify)
        return answer.raise_for_status().json()
    except httpx.HTTPStatusError:
        raise CheckError(f"Traefik's API at {address} answers {answer.status_code} for {path}") from None
    except (httpx.HTTPError, ValueError):
        raise CheckError(f"Traefik's API does not answer at {address}: give --traefik-api") from None
