"""What the mirrors of a stack file contradict: each other, and other sections. Checked on what is written."""

from collections.abc import Iterator, Mapping
from typing import Any

from config import registry as registry_model
from config.contradictions import NAMESPACE, Written
from config.problems import Problem
from config.registry_config import major_version
from config.sections.mirrors import normal_upstream


def mirror_contradictions(written: Written) -> list[Problem]:
    """List the problems of section `mirrors`, each at the later of two places that do not agree."""
    mirrors = {
        f"mirrors[{index}]": mirror
        for index, mirror in enumerate(written["mirrors"])
        if isinstance(mirror, Mapping)
    }
    found = [*_taken(written, mirrors), *_eviction(written, mirrors)]
    for key, mirror in mirrors.items():
        found += _login(key, mirror)
        found += _other_sections(written, key, mirror)
    return found


def _problem(key: str, message: str) -> Problem:
    return Problem(f"{NAMESPACE}:{key}", message)


def _taken(written: Written, mirrors: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Find what a mirror needs for itself, and another one or the registry has."""
    registry = written["registry"]
    hostname = registry.get("hostname", "registry.homelab.local")
    others = [("hostname", hostname, "registry.hostname")]
    if not _is_shared(registry):  # several instances have ports that Nomad chooses
        others.append(("port", registry.get("port", 5000), "registry.port"))
        others.append(("port", registry.get("debugPort", 5001), "registry.debugPort"))
    if "monitoring" in written:
        others.append(("port", written["monitoring"].get("port", 5002), "monitoring.port"))
    taken = {(name, value): key for name, value, key in others if isinstance(value, str | int)}
    for key, mirror in mirrors.items():
        own = {"hostname": f"{mirror.get('name')}.{hostname}", **mirror}
        for name in ("name", "port", "hostname", "upstream"):
            value = own.get(name)
            if not isinstance(value, str | int):
                continue
            same = normal_upstream(value) if isinstance(value, str) else value
            first = taken.setdefault((name, same), f"{key}.{name}")
            if first != f"{key}.{name}":
                shown = "" if name == "upstream" else f"{value!r} "  # a URL may have a password in it
                yield _problem(f"{key}.{name}", f"{shown}is {first} already; give each its own")


def _is_shared(registry: Mapping[str, Any]) -> bool:
    return registry.get("count", 1) != 1 or registry.get("scaling") is not None


def _login(key: str, mirror: Mapping[str, Any]) -> Iterator[Problem]:
    for one, other in (("username", "password"), ("password", "username")):
        if mirror.get(one) is not None and mirror.get(other) is None:
            yield _problem(f"{key}.{other}", f"is required beside {one}")


def _other_sections(written: Written, key: str, mirror: Mapping[str, Any]) -> Iterator[Problem]:
    registry = written["registry"]
    if mirror.get("hostname") is not None and written["tls"].get("mode") == "plain":
        yield _problem(f"{key}.hostname", "is for Traefik, which tls.mode plain goes without; remove it")
    version = major_version(registry.get("image", "registry:3"), registry.get("version"))
    if version is registry_model.RegistryVersion.V2 and mirror.get("ttl", "168h") != "168h":
        yield _problem(f"{key}.ttl", "needs distribution 3.x: 2.x keeps images for 168h; remove it")


def _eviction(written: Written, mirrors: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    limited = any(mirror.get("maxSize") for mirror in mirrors.values())
    if written["maintenance"].get("mirrors") is not None and not limited:
        yield _problem("maintenance.mirrors", "is for mirrors with a maxSize; remove it, or set one")
