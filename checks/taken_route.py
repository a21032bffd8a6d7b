"""Whether another service has the stack's host name or Traefik router, or another job its service."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from checks.neighbours import allocations
from checks.servers import Server
from config.settings import Settings

# Tags of Traefik's Consul catalog provider.
_RULE = re.compile(r"traefik\.(http|tcp)\.routers\.([^.=]+)\.rule=(.*)", re.IGNORECASE)
# A rule of this alone takes the whole host; with `&& PathPrefix(…)` it is a part of it, which wins by itself.
_HOST = re.compile(r"\s*Host(?:SNI)?\(([^)]*)\)\s*", re.IGNORECASE)
# Nomad's id of a service of a group (nomad, command/agent/consul/service_client.go).
_SERVICE_ID = re.compile(r"_nomad-task-([0-9a-f-]{36})-group-")

Tags = Mapping[str, Sequence[str]]  # by service


@dataclass(frozen=True, kw_only=True)
class _Route:
    """What the stack wants of Traefik: a router, which has the service's name, and a host."""

    service: str
    hostname: str
    settings: str  # where name and hostname are set


def route_problems(settings: Settings, consul: Server, nomad: Server) -> Iterator[str]:
    """Say which services Traefik would confuse with the stack's, as far as the tokens see them.

    Raises CheckError.
    """
    if settings.tls.mode == "plain":
        return  # no router
    tags: Tags = consul.get("/v1/catalog/services")
    routes = _routes(settings)
    own = {route.service for route in routes}
    for name in sorted(tags.keys() - own):
        found = [
            problem for route in routes if (problem := _problem(settings, consul, route, name, tags[name]))
        ]
        if found and not _is_former_mirror(settings, consul, nomad, name):
            yield from found


def _routes(settings: Settings) -> list[_Route]:
    registry, mirrors = settings.registry, settings.mirrors.root
    return [
        _Route(service=registry.service, hostname=registry.hostname, settings="registry"),
        *(
            _Route(
                service=settings.mirror_service(mirror),
                hostname=settings.mirror_hostname(mirror),
                settings=f"mirrors[{index}]",
            )
            for index, mirror in enumerate(mirrors)
        ),
    ]


def _problem(
    settings: Settings, consul: Server, route: _Route, other: str, tags: Sequence[str]
) -> str | None:
    if route.service in routers(tags):
        return (
            f"Consul at {consul.address}: service {other} has tags for Traefik's router {route.service} too, "
            f"and Traefik drops a router that two services define: set {route.settings}.name to another "
            f"name, or change the tags of {other}"
        )
    if route.hostname.lower() in hosts(tags, settings.tls.entry_point):
        return (
            f"Consul at {consul.address}: Traefik routes {route.hostname} to service {other} already (entry "
            f"point {settings.tls.entry_point}): set {route.settings}.hostname to another name, or take that "
            "service away"
        )
    return None


def _is_former_mirror(settings: Settings, consul: Server, nomad: Server, service: str) -> bool:
    """Tell a mirror that this deploy renames or takes away: only the mirrors' job has instances of it."""
    if not service.startswith(f"{settings.registry.service}-mirror-"):
        return False
    jobs = _jobs(nomad)
    instances = consul.get(f"/v1/catalog/service/{service}")
    made = [_SERVICE_ID.match(instance["ServiceID"]) for instance in instances]
    return all(each and jobs.get(each[1]) == settings.mirrors_job for each in made)


def service_problems(settings: Settings, consul: Server, nomad: Server) -> Iterator[str]:
    """Say who else registers the stack's services, as far as the tokens see them. Raises CheckError."""
    jobs = _jobs(nomad)
    for service in _services(settings):
        for instance in consul.get(f"/v1/catalog/service/{service.name}"):
            made = _SERVICE_ID.match(instance["ServiceID"])
            job = jobs.get(made[1]) if made else None
            if made and job in (None, service.job):
                continue
            whose = f"job {job}" if job else "something else"
            yield (
                f"Consul at {consul.address} has the service {service.name} of {whose} on {instance['Node']} "
                f"already, and traffic would go to both: set {service.setting} to another name"
            )
            break


@dataclass(frozen=True, kw_only=True)
class _Service:
    """A service that only one job of the stack registers."""

    name: str
    job: str
    setting: str  # where its name comes from


def _services(settings: Settings) -> Iterator[_Service]:
    registry = settings.registry
    jobs = {registry.service: registry.name, f"{registry.service}-metrics": registry.name}
    if settings.monitoring:
        jobs[settings.exporter_service] = settings.exporter_job
    if settings.mirrors.root:
        jobs[settings.mirrors_metrics_service] = settings.mirrors_job
    for name, job in jobs.items():
        yield _Service(name=name, job=job, setting="registry.name")
    for index, mirror in enumerate(settings.mirrors.root):
        yield _Service(
            name=settings.mirror_service(mirror), job=settings.mirrors_job, setting=f"mirrors[{index}].name"
        )


def routers(tags: Sequence[str]) -> set[str]:
    """Name the routers that a service's tags define."""
    return {found[2] for tag in tags if (found := _RULE.fullmatch(tag))}


def hosts(tags: Sequence[str], entry_point: str) -> set[str]:
    """Name the hosts that a service's tags route as a whole at an entry point, in lower case."""
    found = set()
    for tag in tags:
        rule = _RULE.fullmatch(tag)
        if rule and entry_point in _entry_points(tags, rule[1], rule[2], default=entry_point):
            for part in rule[3].split("||"):
                if host := _HOST.fullmatch(part):
                    found |= {name.strip(" `\"'").lower() for name in host[1].split(",")}
    return found


def _entry_points(tags: Sequence[str], protocol: str, router: str, *, default: str) -> list[str]:
    """List the entry points of a router; without a tag for them it is at all of Traefik's default ones."""
    prefix = f"traefik.{protocol}.routers.{router}.entrypoints=".lower()
    for tag in tags:
        if tag.lower().startswith(prefix):
            return [each.strip() for each in tag[len(prefix) :].split(",")]
    return [default]


def _jobs(nomad: Server) -> Mapping[str, str]:
    """Name the jobs of allocations, by id; without what is gone or in a namespace the token may not read."""
    return {each["ID"]: each["JobID"] for each in allocations(nomad)}
