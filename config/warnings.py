"""What a stack may do, and its owner should know at every preview."""

import ipaddress

from config import registry as registry_model
from config.contradictions import NAMESPACE
from config.sections.mirrors import DOCKER_HUB
from config.settings import Settings


def warnings(settings: Settings) -> list[str]:
    """List the settings that leave the registry closed to all, or open to more than most want."""
    found = []
    if settings.auth.mode == "htpasswd" and not settings.auth.users:
        found.append(
            f"{NAMESPACE}:auth.users is empty, so nobody can log in: "
            "`python -m ops users set NAME` adds a user"
        )
    if settings.auth.mode == "none":
        found.append(f"{NAMESPACE}:auth.mode is none: whoever reaches the registry can push, pull and delete")
    if settings.tls.mode == "plain" and settings.tls.allow_plain:
        found.append(
            f"{NAMESPACE}:tls.mode is plain: passwords, tokens and images cross the network in clear"
        )
    found += [
        f"{NAMESPACE}:access.allowedCidrs has {network}, which lets every address through"
        for network in settings.access.allowed_cidrs
        if ipaddress.ip_network(network).prefixlen == 0
    ]
    if settings.access.allowed_cidrs and settings.access.bind is None:
        found.append(
            f"{NAMESPACE}:access.allowedCidrs limits what comes through Traefik; {_open_ports(settings)} "
            "beside it: access.bind chooses the address"
        )
    found += [
        f"{NAMESPACE}:registry.config.{registry_model.dotted(path)} is encrypted, and the registry itself "
        "writes it into its log when that server does not answer; a token in its headers stays secret"
        for path in registry_model.secret_paths(settings.registry.config)
        if path[0] == "notifications" and path[-1] == "url"
    ]
    maintenance = settings.maintenance
    if maintenance.retention and maintenance.retention.apply and not maintenance.garbage_collection:
        found.append(
            f"{NAMESPACE}:maintenance.retention.apply acts before a garbage collection, and there is none: "
            "set maintenance.garbageCollection"
        )
    for mirror in settings.mirrors.root:
        is_open = mirror.auth == "none" or settings.auth.mode == "none"
        if mirror.upstream == DOCKER_HUB and not is_open:
            found.append(
                f"{NAMESPACE}:mirrors: {mirror.name} asks clients to log in, and dockerd, which Nomad pulls "
                "by, cannot do that at a mirror: it needs auth: none"
            )
        if mirror.username and is_open:
            found.append(
                f"{NAMESPACE}:mirrors: whoever reaches {mirror.name} can pull what its user can at "
                f"{mirror.upstream}"
            )
    return found


def _open_ports(settings: Settings) -> str:
    """Name the host ports of the registry, its mirrors and the exporter."""
    registry, mirrors, monitoring = settings.registry, settings.mirrors.root, settings.monitoring
    own = ["the instances' ports" if registry.is_shared else f"port {registry.port} itself"]
    own += [f"port {mirror.port} of {mirror.name}" for mirror in mirrors]
    bare = ["their debug ports" if registry.is_shared else f"the debug port {registry.debug_port}"]
    bare += ["the mirrors' debug ports"] if mirrors else []
    bare += [f"the exporter's port {monitoring.port}"] if monitoring else []
    return f"{', '.join(own)} and, without log-in, {', '.join(bare)} are open"
