"""What spans several keys of a stack file: checked on what is written, to be reported beside the rest.

The sections are plain data here, whatever is wrong in them: their own models report that.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from config import registry as registry_model
from config.problems import Problem, key_of, suggestion
from config.registry_config import major_version, merged_config
from config.sections.instances import Redis
from config.sections.s3 import S3

NAMESPACE = "docker-registry"

# Keys of config.yml that other settings own, so that two places never disagree.
_OWNED = {
    ("http", "addr"): "the container always listens on 5000; set registry.port for the host's port",
    (
        "http",
        "debug",
    ): "metrics are always on, at 5001 in the container; set registry.debugPort for the host's port",
    ("http", "secret"): "made by the program and kept in Vault",
    ("auth",): "set by auth.mode and its keys",
    (
        "storage",
        "filesystem",
        "rootdirectory",
    ): "the volume is mounted at /var/lib/registry; set storage.path",
}
# Keys of http.tls that are left to the user; certificate and key come from Vault.
_TLS_KEYS = {"minimumtls", "ciphersuites"}

# Storage drivers that keep the images on no volume of ours.
_BUCKETS = {"azure", "gcs", "inmemory", "oss", "s3", "swift"}

Written = Mapping[str, Any]  # mirrors are a list, all others mappings


def contradictions(written: Written) -> list[Problem]:
    """List the problems of the sections `written`, by their names."""
    checks: list[Callable[[Written], Iterator[Problem]]] = [
        _ports,
        _registry_config,
        _told_secrets,
        _registry_tls,
        _storage,
        _tls,
        _access,
        _auth_mode,
        _users,
        _grants,
        _external,
        _maintenance,
    ]
    return [problem for check in checks for problem in check(written)]


def _problem(key: str, message: str) -> Problem:
    return Problem(f"{NAMESPACE}:{key}", message)


def _ports(written: Written) -> Iterator[Problem]:
    registry = written["registry"]
    port, debug_port = registry.get("port", 5000), registry.get("debugPort", 5001)
    if port == debug_port:
        yield _problem("registry.debugPort", f"{port} is registry.port already; give each its own")
    exporter = written["monitoring"].get("port", 5002) if "monitoring" in written else None
    for key, other in (("registry.port", port), ("registry.debugPort", debug_port)):
        if exporter == other:
            yield _problem("monitoring.port", f"{exporter} is {key} already; give each its own")


def _registry_config(written: Written) -> Iterator[Problem]:
    """Check config.yml for the version that the image tells."""
    section, registry = f"{NAMESPACE}:registry", written["registry"]
    image, config = registry.get("image", "registry:3"), registry.get("config") or {}
    version = major_version(image, registry.get("version"))
    if version is None:
        message = f"{image!r} does not tell the registry's major version; set registry.version to 2 or 3"
        yield Problem(f"{section}.image", message)
        return
    if not isinstance(config, Mapping):
        return
    for path, reason in _OWNED.items():
        if has(config, path):
            yield Problem(key_of(section, ("config", *path)), f"is not set here: {reason}")
    merged = merged_config(config, version, **_placeholders(written))
    if isinstance(merged["http"].get("tls"), Mapping):
        # The job adds them.
        merged = registry_model.merge(merged, {"http": {"tls": {"certificate": "-", "key": "-"}}})
    for found in registry_model.check(merged, version):
        value = f"{found.value!r} " if isinstance(found.value, str | int | float) else ""
        yield Problem(key_of(section, ("config", *found.path)), f"{value}{found.message}")


def _placeholders(written: Written) -> dict[str, Any]:
    """Stand for the sections that config.yml is made of too: their own models check them."""
    s3 = S3(bucket="any", region="any") if written["storage"].get("driver") == "s3" else None
    redis = Redis(address="any:1") if written["registry"].get("redis") is not None else None
    return {"s3": s3, "redis": redis}


def _told_secrets(written: Written) -> Iterator[Problem]:
    """Refuse what the registry itself tells others of its notifications.

    Source: distribution 2.8.3 and 3.1.2, handlers/app.go (configureEvents) and notifications/metrics.go.
    """
    config = written["registry"].get("config")
    if not isinstance(config, Mapping):
        return
    quiet = str(at(config, ("log", "level"))).lower() in ("warn", "error")
    alone = _is_loopback(written["access"].get("bind"))
    for path in registry_model.secret_paths(config):
        if path[0] != "notifications":
            continue
        key = key_of(f"{NAMESPACE}:registry", ("config", *path))
        if not quiet:
            yield Problem(
                key, "is written into the registry's log at this level: set registry.config.log.level to warn"
            )
        if not alone:
            yield Problem(
                key,
                "is shown by the debug port, at /debug/vars, to whoever reaches it: set access.bind to "
                "127.0.0.1, so that only this machine does (Traefik and Prometheus have to run on it)",
            )


def _registry_tls(written: Written) -> Iterator[Problem]:
    """Let `http.tls` choose versions and ciphers, and only where the registry speaks TLS."""
    tls, key = at(written["registry"].get("config"), ("http", "tls")), "registry.config.http.tls"
    if not isinstance(tls, Mapping):
        return
    if _mode(written["tls"], "traefik") != "registry":
        yield _problem(key, "is for tls.mode registry only; remove it, or set tls.mode")
    for name in sorted(set(tls) - _TLS_KEYS):
        yield _problem(f"{key}.{name}", "is not set here: tls.mode registry gets its certificate from Vault")
    if tls.get("minimumtls") in ("tls1.0", "tls1.1"):
        yield _problem(
            f"{key}.minimumtls", f"{tls['minimumtls']!r} is broken; tls1.2 is the least, and default"
        )


def _storage(written: Written) -> Iterator[Problem]:
    """Check that a dynamic volume, and only that, names its node."""
    storage = written["storage"]
    dynamic = storage.get("kind") == "dynamic"
    if dynamic and "nodeId" not in storage:
        message = "is required with kind dynamic; `nomad node status -verbose` prints it"
        yield _problem("storage.nodeId", message)
    if not dynamic and "nodeId" in storage:
        message = "is for kind dynamic only; remove it, or set storage.kind to dynamic"
        yield _problem("storage.nodeId", message)


def _tls(written: Written) -> Iterator[Problem]:
    tls = written["tls"]
    mode, authority = _mode(tls, "traefik"), tls.get("authority") or {}
    if (
        mode == "plain"
        and tls.get("allowPlain") is not True
        and not _is_loopback(written["access"].get("bind"))
    ):
        yield _problem(
            "tls.mode",
            "'plain' lets everybody on the network read passwords and images: set access.bind to 127.0.0.1, "
            "or, if you accept that, tls.allowPlain to true",
        )
    if "certResolver" in tls and mode != "traefik":
        yield _problem("tls.certResolver", "is for tls.mode traefik only; remove it")
    if authority and mode != "registry":
        yield _problem("tls.authority", "is for tls.mode registry only; remove it, or set tls.mode")
    if isinstance(authority, Mapping) and "role" in authority and "mount" not in authority:
        yield _problem("tls.authority.mount", "is required beside a role that is there")


def _access(written: Written) -> Iterator[Problem]:
    access, mode = written["access"], _mode(written["tls"], "traefik")
    if access.get("trustedHosts") and mode != "registry":
        message = "is for tls.mode registry only, whose CA is known; remove it, or set tls.mode"
        yield _problem("access.trustedHosts", message)
    if access.get("allowedCidrs") and mode == "plain":
        message = "is enforced by Traefik, which tls.mode plain goes without; remove it, or set access.bind"
        yield _problem("access.allowedCidrs", message)


def _auth_mode(written: Written) -> Iterator[Problem]:
    auth, registry = written["auth"], written["registry"]
    mode = _mode(auth, "htpasswd")
    version = major_version(registry.get("image", "registry:3"), registry.get("version"))
    if mode == "vault" and version is registry_model.RegistryVersion.V2:
        yield _problem(
            "auth.mode",
            "'vault' needs distribution 3.x, which verifies tokens by a key set: set registry.image",
        )
    if mode == "none" and auth.get("allowAnonymous") is not True:
        yield _problem(
            "auth.mode",
            "'none' lets everybody push, pull and delete: set auth.allowAnonymous to true if you accept that",
        )
    if "allowAnonymous" in auth and mode != "none":
        yield _problem("auth.allowAnonymous", "is for auth.mode none only; remove it")


def _users(written: Written) -> Iterator[Problem]:
    if written["auth"].get("users") and _mode(written["auth"], "htpasswd") != "htpasswd":
        yield _problem("auth.users", "is for auth.mode htpasswd only; remove it (mode vault has auth.grants)")


def _grants(written: Written) -> Iterator[Problem]:
    """Check that the keys of mode vault are there only in it, and name grants that there are."""
    auth, mode = written["auth"], _mode(written["auth"], "htpasswd")
    grants = auth.get("grants") or {}
    if mode != "vault":
        for key in ("grants", "issuer", "oidc", "nodes"):
            if auth.get(key):
                yield _problem(f"auth.{key}", "is for auth.mode vault only; remove it, or set auth.mode")
        return
    if not grants:
        example = "ci-app: {repositories: {ci/app: [pull, push]}}"
        yield _problem("auth.grants", f"is required with auth.mode vault, else nobody gets in: {example}")
    if not isinstance(grants, Mapping):
        return
    oidc, nodes = auth.get("oidc"), auth.get("nodes")
    groups = oidc.get("groups") if isinstance(oidc, Mapping) else None
    for group, names in groups.items() if isinstance(groups, Mapping) else ():
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and name not in grants:
                message = f"{name!r} is no grant; {suggestion(str(name), grants)}"
                yield _problem(f"auth.oidc.groups.{group}[{index}]", message)
    grant = nodes.get("grant") if isinstance(nodes, Mapping) else None
    if isinstance(grant, str) and grant not in grants:
        yield _problem("auth.nodes.grant", f"{grant!r} is no grant; {suggestion(str(grant), grants)}")


def _external(written: Written) -> Iterator[Problem]:
    auth, registry = written["auth"], written["registry"]
    external, mode = auth.get("external"), _mode(auth, "htpasswd")
    if mode != "external":
        if external:
            yield _problem("auth.external", "is for auth.mode external only; remove it, or set auth.mode")
        return
    if not external:
        yield _problem(
            "auth.external", "is required with auth.mode external: realm, service, issuer and keys"
        )
        return
    if not isinstance(external, Mapping):
        return
    if ("rootCertBundle" in external) == ("jwks" in external):
        yield _problem("auth.external", "takes exactly one of rootCertBundle and jwks")
    version = major_version(registry.get("image", "registry:3"), registry.get("version"))
    if version is registry_model.RegistryVersion.V2:
        for key in ("jwks", "signingAlgorithms"):
            if key in external:
                yield _problem(
                    f"auth.external.{key}", "needs distribution 3.x: remove it, or set registry.image"
                )


def _maintenance(written: Written) -> Iterator[Problem]:
    maintenance, registry = written["maintenance"], written["registry"]
    version = major_version(registry.get("image", "registry:3"), registry.get("version"))
    if version is registry_model.RegistryVersion.V2 and at(
        maintenance, ("garbageCollection", "deleteUntagged")
    ):
        yield _problem(
            "maintenance.garbageCollection.deleteUntagged",
            "needs distribution 3.x: 2.x removes the parts of multi-arch images with it; remove it",
        )
    storage, driver = at(registry.get("config"), ("storage",)), written["storage"].get("driver")
    if driver == "s3" or (isinstance(storage, Mapping) and set(storage) & _BUCKETS):
        advice = {
            "backup": "let that place keep versions, or copies in another one (docs/scaling.md)",
            "retention": "let its own rules remove what is old",
            "scan": "scan them by their names (`trivy image`)",
        }
        for key in sorted(advice.keys() & maintenance.keys()):
            yield _problem(
                f"maintenance.{key}",
                "is for images on the volume, and "
                + ("storage.driver s3" if driver == "s3" else "registry.config.storage")
                + f" keeps them elsewhere: remove it, and {advice[key]}",
            )
    cache = at(registry.get("config"), ("storage", "cache", "blobdescriptor"))
    shared = registry.get("redis") is not None
    parts = [key for key in ("backup", "garbageCollection", "retention") if maintenance.get(key) is not None]
    for key in parts:
        # The restart after it empties the cache in memory. Only a collection empties Redis, and knows which.
        if (shared and key != "garbageCollection") or (cache == "redis" and not shared):
            instead = "remove registry.redis" if shared else "set registry.redis, or use inmemory there"
            message = f"leaves what is gone in the cache, which Redis keeps: {instead}"
            yield _problem(f"maintenance.{key}", message)
    backup = maintenance.get("backup")
    if isinstance(backup, Mapping) and {"volume", "s3"} <= backup.keys():
        yield _problem(
            "maintenance.backup.volume", "is set beside s3, and backups go to one place: remove one"
        )
    rules = at(maintenance, ("retention", "rules"))
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, Mapping) and not any(
            rule[key] not in (None, [], {}) for key in rule if key.startswith("keep")
        ):
            message = "would remove every tag: say what it keeps, by keepNewest, keepTags, keepYoungerThan …"
            yield _problem(f"maintenance.retention.rules[{index}]", message)


def _mode(section: Mapping[str, Any], default: str) -> object:
    return section.get("mode", default)


def _is_loopback(address: object) -> bool:
    try:
        return ipaddress.ip_address(str(address)).is_loopback
    except ValueError:
        return False


def at(config: object, path: tuple[str, ...]) -> object:
    """Give what is at a path of plain data, None where there is nothing."""
    for step in path:
        if not isinstance(config, Mapping) or step not in config:
            return None
        config = config[step]
    return config


def has(config: object, path: tuple[str, ...]) -> bool:
    """Whether a path is written, be it as null."""
    *above, last = path
    section = at(config, tuple(above))
    return isinstance(section, Mapping) and last in section
