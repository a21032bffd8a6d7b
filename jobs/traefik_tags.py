"""Tags of a Consul service by which Traefik routes to it (Traefik: Consul Catalog provider)."""

import math

from config.settings import Settings
from jobs.duration import Duration

_RETRY_MILLISECONDS = 200  # before the second attempt; before the last one twice that


def traefik_tags(
    settings: Settings, router: str, hostname: str, *, longest_restart: Duration
) -> tuple[str, ...]:
    """Make a router and, for `access.allowedCidrs`, a middleware of the same name; none without TLS.

    Who asks while the server starts again waits for it, for `longest_restart` at most.
    """
    networks = ",".join(settings.access.allowed_cidrs)
    match settings.tls.mode:
        case "plain":
            return ("traefik.enable=false",)
        case "traefik":
            protocol, rule, tls = "http", f"Host(`{hostname}`)", "tls=true"
        case "registry":
            # The registry shows its own certificate, so Traefik sees only the name in the TLS greeting.
            protocol, rule, tls = "tcp", f"HostSNI(`{hostname}`)", "tls.passthrough=true"
    prefix = f"traefik.{protocol}.routers.{router}"
    tags = [
        "traefik.enable=true",
        f"{prefix}.rule={rule}",
        f"{prefix}.entrypoints={settings.tls.entry_point}",
        f"{prefix}.{tls}",
    ]
    if settings.tls.cert_resolver:
        tags.append(f"{prefix}.tls.certresolver={settings.tls.cert_resolver}")
    middlewares = []
    if networks:
        tags.append(f"traefik.{protocol}.middlewares.{router}.ipallowlist.sourcerange={networks}")
        middlewares.append(router)
    if protocol == "http":
        # A request is sent again only if nobody took the connection; of several instances to the next one.
        retry = f"traefik.http.middlewares.{router}-retry.retry"
        tags += [
            f"{retry}.attempts={_attempts(longest_restart)}",
            f"{retry}.initialinterval={_RETRY_MILLISECONDS}ms",
        ]
        middlewares.append(f"{router}-retry")
    if middlewares:
        tags.append(f"{prefix}.middlewares={','.join(middlewares)}")
    return tuple(tags)


def _attempts(longest: Duration) -> int:
    """Give how many attempts take that long: the interval grows to its double (Traefik, retry.go)."""
    mean = 1.4 * _RETRY_MILLISECONDS
    return 1 + math.ceil(longest.nanoseconds / 1_000_000 / mean)
