"""What a stack may not change in the registry's own config.yml: our jobs, commands and clients rely on it.

The registry itself would take all of this; config/registry/ has what it would not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from config.contradictions import NAMESPACE, Written, at, has
from config.problems import Problem
from config.registry_config import major_version, merged_config

_KEY = f"{NAMESPACE}:registry.config"
# Images that are the program as it is released, which knows no middleware of registry or repository.
_UPSTREAM_IMAGES = ("registry", "library/registry", "distribution/distribution")
# What the registry writes itself into answers, and by which clients go on; and what the freeze is known by.
_OWN_HEADERS = {
    *("connection", "content-encoding", "content-length", "content-range", "content-type", "etag", "link"),
    *("location", "range", "transfer-encoding", "www-authenticate"),
    *("docker-content-digest", "docker-distribution-api-version", "docker-upload-uuid", "oci-subject"),
    *("x-registry-freeze", "x-registry-mode"),
}


def own_config_problems(written: Written) -> list[Problem]:
    """List the problems of `registry.config` beside the other sections."""
    config = written["registry"].get("config")
    if not isinstance(config, Mapping):
        return []
    return [
        *_http(config),
        *_headers(at(config, ("http", "headers"))),
        *_proxy(config),
        *_middleware(written, config),
        *_redis(written, config),
        *_memory(written, config),
        *_log(written, config),
    ]


def _problem(path: str, message: str) -> Problem:
    return Problem(f"{_KEY}.{path}", message)


def _http(config: Mapping[str, Any]) -> Iterator[Problem]:
    if has(config, ("http", "prefix")):
        yield _problem(
            "http.prefix", "is not set here: clients ask for /v2/ at the root of a host; remove it"
        )
    if at(config, ("http", "net")) == "unix":
        yield _problem("http.net", "'unix' has no port that Nomad could publish; remove it")
    if at(config, ("http", "host")) is not None and at(config, ("http", "relativeurls")) is not False:
        yield _problem(
            "http.host",
            "would win over relativeurls, and pushes by any other name or port would fail: remove it, or set "
            "relativeurls to false if there is only this name",
        )


def _headers(headers: object) -> Iterator[Problem]:
    for name in headers if isinstance(headers, Mapping) else ():
        if str(name).lower() in _OWN_HEADERS:
            yield _problem(f"http.headers.{name}", "is written by the registry itself; remove it")


def _proxy(config: Mapping[str, Any]) -> Iterator[Problem]:
    if at(config, ("proxy",)) is not None:
        yield _problem(
            "proxy",
            "makes the registry a cache that takes no pushes: remove it, and add a mirror (section mirrors)",
        )


def _middleware(written: Written, config: Mapping[str, Any]) -> Iterator[Problem]:
    image = str(written["registry"].get("image", "registry:3")).removeprefix("docker.io/")
    if image.partition("@")[0].partition(":")[0] not in _UPSTREAM_IMAGES:
        return
    for kind in ("registry", "repository"):
        if at(config, ("middleware", kind)):
            yield _problem(
                f"middleware.{kind}",
                f"needs an image that has it, and in {image} every request would fail: remove it, or set "
                "registry.image",
            )


def _redis(written: Written, config: Mapping[str, Any]) -> Iterator[Problem]:
    """Refuse a Redis that nothing would ask: the default of the cache is inmemory."""
    kind = at(config, ("storage", "cache", "blobdescriptor"))
    if at(config, ("redis",)) is not None and kind != "redis" and written["registry"].get("redis") is None:
        yield _problem(
            "redis",
            "is for the cache only, which is elsewhere: set storage.cache.blobdescriptor to redis, or "
            "remove it",
        )


def _memory(written: Written, config: Mapping[str, Any]) -> Iterator[Problem]:
    if has(config, ("storage", "inmemory")) and written["maintenance"].get("garbageCollection") is not None:
        yield Problem(
            f"{NAMESPACE}:maintenance.garbageCollection",
            "restarts the registry, and registry.config.storage.inmemory forgets every image then: remove "
            "one of them",
        )


def _log(written: Written, config: Mapping[str, Any]) -> Iterator[Problem]:
    """The log pipelines of monitoring/ and the dashboard's queries read JSON with distribution's names."""
    registry = written["registry"]
    version = major_version(registry.get("image", "registry:3"), registry.get("version"))
    if version is None or "monitoring" not in written:
        return
    log = merged_config(config, version).get("log")
    formatter = log.get("formatter", "text") if isinstance(log, Mapping) else "text"
    if formatter in ("text", "logstash"):
        yield _problem(
            "log.formatter",
            f"{formatter!r} is not read by the log pipelines and panels of monitoring: set it to json",
        )
