"""Rules between keys of config.yml, each of which the registry would die on or pass over in silence.

They read the plain mapping and not the typed model, so that they speak up beside errors elsewhere.
Source: registry/registry.go and registry/handlers/app.go of distribution 2.8.3 and 3.1.2.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from config.registry.auth import Auth
from config.registry.paths import Path, value_at
from config.registry.problem import Problem, problem
from config.registry.storage import DRIVERS
from config.registry.values import is_address
from config.registry.version import RegistryVersion

Config = Mapping[str, Any]


def broken_rules(config: Config, version: RegistryVersion) -> Iterator[Problem]:
    """Yield a Problem for each rule that `config` breaks."""
    yield from _one_storage_driver(config)
    yield from _driver_parameters(config, version)
    yield from _cache_has_its_redis(config, version)
    yield from _redirects_are_on(config)
    yield from _upload_purging_is_complete(config)
    yield from _one_auth(config)
    yield from _token_has_a_key(config, version)
    yield from _tls(config, version)
    yield from _address_fits_net(config)
    yield from _metrics_have_a_server(config)
    yield from _proxy_logs_in_one_way(config)
    yield from _one_log_level(config)
    yield from _cloudfront_has_its_regions(config)
    yield from _health_checks_have_names(config)
    yield from _images_are_allowed(config)
    yield from _validation_is_on(config)
    yield from _platforms_are_listed(config)


def section(config: Config, *path: str) -> Config:
    """Mapping at `path`, empty where there is none."""
    here = value_at(config, path)
    return here if isinstance(here, Mapping) else {}


def entries(config: Config, *path: str) -> Iterator[tuple[Path, Config]]:
    """Each mapping of the list at `path`, with its own path."""
    listed = value_at(config, path)
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(entry, Mapping):
            yield (*path, index), entry


def _one_storage_driver(config: Config) -> Iterator[Problem]:
    drivers = [key for key in section(config, "storage") if key in DRIVERS]
    if len(drivers) > 1:
        yield problem(
            ("storage",),
            drivers,
            "must have exactly one driver: remove the others (`filesystem: null` if by default)",
        )
    if not drivers and "storage" in config:
        yield problem(("storage",), drivers, f"needs exactly one driver of {', '.join(DRIVERS)}")


def _driver_parameters(config: Config, version: RegistryVersion) -> Iterator[Problem]:
    for name in ("s3", "s3aws"):
        s3 = section(config, "storage", name)
        if s3 and "region" not in s3 and (version is RegistryVersion.V2 or "regionendpoint" not in s3):
            yield problem(
                ("storage", name, "region"), None, "is required here (any name will do with regionendpoint)"
            )
    azure = section(config, "storage", "azure")
    login = section(azure, "credentials").get("type")
    if azure and version is RegistryVersion.V3 and "credentials" not in azure:
        yield problem(
            ("storage", "azure", "credentials"), None, "is required in 3.x: {type: shared_key} for a key"
        )
    if azure and "accountkey" not in azure and (version is RegistryVersion.V2 or login == "shared_key"):
        yield problem(("storage", "azure", "accountkey"), None, "is required here")
    if login == "client_secret":
        for key in {"clientid", "tenantid", "secret"} - section(azure, "credentials").keys():
            yield problem(
                ("storage", "azure", "credentials", key), None, "is required for type client_secret"
            )


def _cache_has_its_redis(config: Config, version: RegistryVersion) -> Iterator[Problem]:
    address = "addrs" if version is RegistryVersion.V3 else "addr"
    path = ("storage", "cache")
    cache = section(config, *path)
    if "layerinfo" in cache:
        # It is heeded without a blobdescriptor only, and then the freeze would not know of a Redis.
        yield problem(
            (*path, "layerinfo"),
            cache["layerinfo"],
            "is the old name of storage.cache.blobdescriptor and passed over beside it: set that instead",
        )
    if cache.get("blobdescriptor") != "redis":
        return
    if not section(config, "redis").get(address):
        yield problem((*path, "blobdescriptor"), "redis", f"needs redis.{address}: add it, or use inmemory")
    if "blobdescriptorsize" in cache:
        yield problem(
            (*path, "blobdescriptorsize"),
            cache["blobdescriptorsize"],
            "is for inmemory, and passed over with redis: remove it",
        )


def _redirects_are_on(config: Config) -> Iterator[Problem]:
    if section(config, "storage", "redirect").get("disable") is True:
        for path, entry in entries(config, "middleware", "storage"):
            yield problem(
                path, entry.get("name"), "changes redirects, and storage.redirect.disable is true: remove one"
            )


def _upload_purging_is_complete(config: Config) -> Iterator[Problem]:
    path = ("storage", "maintenance", "uploadpurging")
    given = section(config, *path)
    if "uploadpurging" in section(config, *path[:-1]) and given.get("enabled") is not False:
        for key, example in {"age": '"168h"', "interval": '"24h"', "dryrun": "false"}.items():
            if key not in given:
                yield problem(
                    (*path, key), None, f"is required here, the registry panics without it: {example}"
                )


def _one_auth(config: Config) -> Iterator[Problem]:
    kinds = [key for key in section(config, "auth") if key in Auth.model_fields]
    if len(kinds) != 1 and "auth" in config:
        yield problem(("auth",), kinds, f"must have exactly one of {', '.join(Auth.model_fields)}")


def _token_has_a_key(config: Config, version: RegistryVersion) -> Iterator[Problem]:
    token = section(config, "auth", "token")
    if token and "rootcertbundle" not in token:
        if version is RegistryVersion.V2:
            yield problem(("auth", "token", "rootcertbundle"), None, "is required here, path of a PEM bundle")
        elif "jwks" not in token:
            yield problem(
                ("auth", "token"), token, "needs rootcertbundle or jwks, path of the keys that sign tokens"
            )


def _tls(config: Config, version: RegistryVersion) -> Iterator[Problem]:
    path = ("http", "tls")
    tls = section(config, *path)
    yield from _certificate_with_key(config, *path)
    yield from _certificate_with_key(config, "redis", "tls")
    if "certificate" in tls and "letsencrypt" in tls:
        yield problem(
            (*path, "letsencrypt"), tls["letsencrypt"], "excludes http.tls.certificate: keep one of them"
        )
    if tls and "certificate" not in tls and "letsencrypt" not in tls:
        yield problem(
            path, tls, "needs certificate and key, or letsencrypt: without them the registry serves no TLS"
        )
    if "clientauth" in tls and not tls.get("clientcas"):
        yield problem(
            (*path, "clientauth"), tls["clientauth"], "is passed over without http.tls.clientcas: add them"
        )
    if version is RegistryVersion.V3:
        letsencrypt = section(tls, "letsencrypt")
        if letsencrypt and "hosts" not in letsencrypt:
            yield problem(
                (*path, "letsencrypt", "hosts"), None, "is required in 3.x, which else refuses every host"
            )
        if "ciphersuites" in tls and tls.get("minimumtls") == "tls1.3":
            yield problem(
                (*path, "ciphersuites"), tls["ciphersuites"], "is passed over with tls1.3 in 3.x: remove it"
            )


def _certificate_with_key(config: Config, *path: str) -> Iterator[Problem]:
    tls = section(config, *path)
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if other in tls and key not in tls:
            yield problem((*path, key), None, f"is required beside {other}")


def _address_fits_net(config: Config) -> Iterator[Problem]:
    http = section(config, "http")
    address = http.get("addr")
    if isinstance(address, str) and http.get("net") == "unix" and not address.startswith("/"):
        yield problem(("http", "addr"), address, "must be a socket's absolute path, since http.net is unix")
    if isinstance(address, str) and http.get("net") != "unix" and not is_address(address):
        yield problem(("http", "addr"), address, "must be HOST:PORT or :PORT, with a port from 1 to 65535")


def _metrics_have_a_server(config: Config) -> Iterator[Problem]:
    debug = section(config, "http", "debug")
    if section(debug, "prometheus").get("enabled") is True and "addr" not in debug:
        yield problem(("http", "debug", "prometheus", "enabled"), True, 'needs http.debug.addr: ":5001"')


def _proxy_logs_in_one_way(config: Config) -> Iterator[Problem]:
    proxy = section(config, "proxy")
    for key in ("username", "password"):
        if "exec" in proxy and key in proxy:
            yield problem(("proxy", key), proxy[key], "is passed over beside proxy.exec: keep one of them")


def _one_log_level(config: Config) -> Iterator[Problem]:
    if "loglevel" in config and "level" in section(config, "log"):
        yield problem(("loglevel",), config["loglevel"], "is passed over beside log.level: set that instead")


def _cloudfront_has_its_regions(config: Config) -> Iterator[Problem]:
    for path, entry in entries(config, "middleware", "storage"):
        options = section(entry, "options")
        if options.get("ipfilteredby") == "awsregion" and "awsregion" not in options:
            yield problem((*path, "options", "awsregion"), None, "is required with ipfilteredby: awsregion")


def _health_checks_have_names(config: Config) -> Iterator[Problem]:
    """Each check is known by what it looks at; the registry panics at the second of one name."""
    taken: dict[str, str] = {}
    for kind, key in (("file", "file"), ("http", "uri"), ("tcp", "addr")):
        for path, entry in entries(config, "health", kind):
            name, place = str(entry.get(key)), ".".join(str(step) for step in path)
            if key in entry and taken.setdefault(name, place) != place:
                yield problem(
                    (*path, key), entry[key], f"is {taken[name]} already, and the registry panics: remove one"
                )


def _images_are_allowed(config: Config) -> Iterator[Problem]:
    path = ("policy", "repository", "classes")
    classes = value_at(config, path)
    if isinstance(classes, list) and classes and "image" not in classes:
        yield problem(path, classes, "must have image: without it the registry refuses every image")


def _validation_is_on(config: Config) -> Iterator[Problem]:
    """`enabled: false` is turned into `enabled: not disabled` (handlers/app.go)."""
    validation = section(config, "validation")
    enabled, disabled = validation.get("enabled"), validation.get("disabled")
    if enabled is False and disabled is not True:
        yield problem(("validation", "enabled"), False, "is passed over: set validation.disabled to true")
    if enabled is True and disabled is True:
        yield problem(("validation", "disabled"), True, "is passed over beside enabled: true: remove one")
    if "manifests" in validation and disabled is True and enabled is not True:
        yield problem(("validation", "manifests"), None, "is passed over with disabled: true: remove one")


def _platforms_are_listed(config: Config) -> Iterator[Problem]:
    path = ("validation", "manifests", "indexes")
    indexes = section(config, *path)
    listed = str(indexes.get("platforms")).lower() == "list"
    if listed and not indexes.get("platformlist"):
        yield problem((*path, "platformlist"), None, "is required with platforms: list")
    if indexes.get("platformlist") and not listed:
        yield problem((*path, "platforms"), indexes.get("platforms"), "must be list beside platformlist")
