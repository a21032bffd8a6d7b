"""Tags of a Consul service by which Traefik routes to it (Traefik: Consul Catalog provider)."""

from config.settings import Settings


def traefik_tags(settings: Settings, router: str, hostname: str) -> tuple[str, ...]:
    """Make a router and, for `access.allowedCidrs`, a middleware of the same name; none without TLS."""
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
    if settings.registry.is_shared and protocol == "http":
        # An instance that is gone takes no connection, so another one is asked.
        tags.append(f"traefik.http.middlewares.{router}-retry.retry.attempts=3")
        middlewares.append(f"{router}-retry")
    if middlewares:
        tags.append(f"{prefix}.middlewares={','.join(middlewares)}")
    return tuple(tags)
