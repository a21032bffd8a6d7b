"""What has to fit together for a bucket, and for several instances: checked on what a stack file says."""

from collections.abc import Iterator, Mapping
from typing import Any

from config.contradictions import NAMESPACE, Written, at, has
from config.problems import Problem
from config.registry import RegistryVersion
from config.registry_config import major_version

# Keys of registry.config.storage.s3 that storage.s3 owns, so that two places never disagree.
_OWNED_S3 = {
    "bucket": "bucket",
    "region": "region",
    "regionendpoint": "endpoint",
    "forcepathstyle": "pathStyle",
    "accesskey": "accessKey",
    "secretkey": "secretKey",
    "rootdirectory": "prefix",
    "secure": "endpoint",
}
# The same for registry.config.redis: all that says which server it is, and how to log in to it.
_OWNED_REDIS = (
    *("addr", "addrs", "username", "password", "tls"),
    *("mastername", "sentinelusername", "sentinelpassword"),
)
_OF_THE_IMAGES = ("volume", "path")  # keys of a host volume that has the images
_OF_ANY_VOLUME = ("kind", "nodeId")  # of the mirrors' one as well


def shared_storage_problems(written: Written) -> list[Problem]:
    """List the problems of the sections `written`, by their names."""
    return [
        *_driver(written),
        *_s3(written),
        *_redis(written),
        *_scaling(written),
        *_instances(written),
    ]


def _problem(key: str, message: str) -> Problem:
    return Problem(f"{NAMESPACE}:{key}", message)


def _driver(written: Written) -> Iterator[Problem]:
    """Let the driver be chosen in one place, and the keys of the other driver be gone."""
    storage, own = written["storage"], at(written["registry"].get("config"), ("storage",))
    in_s3 = storage.get("driver") == "s3"
    if in_s3 and "s3" not in storage:
        yield _problem(
            "storage.s3", "is required with storage.driver s3: {bucket: images, region: us-east-1}"
        )
    if "s3" in storage and not in_s3:
        yield _problem("storage.s3", "is for storage.driver s3 only; remove it, or set storage.driver")
    for key in _OF_THE_IMAGES if in_s3 else ():
        if key in storage:
            yield _problem(f"storage.{key}", "is for storage.driver filesystem only; remove it")
    for key in _OF_ANY_VOLUME if in_s3 and not written["mirrors"] else ():
        if key in storage:
            message = "is for a host volume, and neither the images nor mirrors have one here; remove it"
            yield _problem(f"storage.{key}", message)
    own = own if isinstance(own, Mapping) else {}
    key = "registry.config.storage"
    if "s3aws" in own or ("s3" in own and not in_s3):
        name = "s3aws" if "s3aws" in own else "s3"
        yield _problem(f"{key}.{name}", "is not set here: set storage.driver to s3, and storage.s3")
    if not in_s3:
        return
    if "redirect" in own:
        yield _problem(f"{key}.redirect", "is not set here: set storage.s3.redirect")
    for name, setting in _OWNED_S3.items():
        if has(own, ("s3", name)):
            yield _problem(f"{key}.s3.{name}", f"is not set here: set storage.s3.{setting}")


def _s3(written: Written) -> Iterator[Problem]:
    s3 = written["storage"].get("s3")
    if not isinstance(s3, Mapping):
        return
    for key, other in (("accessKey", "secretKey"), ("secretKey", "accessKey")):
        if key in s3 and other not in s3:
            yield _problem(f"storage.s3.{other}", f"is required beside {key}")
    if (
        _version(written) is RegistryVersion.V2
        and "pathStyle" in s3
        and s3["pathStyle"] is not ("endpoint" in s3)
    ):
        yield _problem(
            "storage.s3.pathStyle",
            "is not chosen in distribution 2.x, which uses path style with an endpoint and only then: remove "
            "it, or set registry.image",
        )


def _redis(written: Written) -> Iterator[Problem]:
    redis, config = written["registry"].get("redis"), written["registry"].get("config")
    if redis is not None:
        for path in (*(("redis", key) for key in _OWNED_REDIS), ("storage", "cache")):
            if has(config, path):
                yield _problem(f"registry.config.{'.'.join(path)}", "is not set here: registry.redis says it")
    if _version(written) is RegistryVersion.V2:
        for key, value in (
            ("redis.password", at(redis, ("password",))),
            ("config.redis.password", at(config, ("redis", "password"))),
        ):
            if value is not None:
                # registry/handlers/app.go of 2.8: configureRedis publishes its configuration by expvar.
                yield _problem(
                    f"registry.{key}",
                    "is shown by distribution 2.x to whoever asks its metrics port for /debug/vars: set "
                    "registry.image to a 3.x, or use a Redis without password that only the registry reaches",
                )


def _scaling(written: Written) -> Iterator[Problem]:
    registry = written["registry"]
    scaling, count = registry.get("scaling"), registry.get("count", 1)
    if not isinstance(scaling, Mapping) or not isinstance(count, int):
        return
    least, most = scaling.get("min"), scaling.get("max")
    if not isinstance(least, int) or not isinstance(most, int):
        return
    if least > most:
        yield _problem("registry.scaling.min", f"{least} is more than registry.scaling.max, which is {most}")
    elif not least <= count <= most:
        yield _problem(
            "registry.count", f"{count} is not between registry.scaling.min and max, {least} and {most}"
        )


def _instances(written: Written) -> Iterator[Problem]:
    """Check that several instances share all that they have to, and that clients find them."""
    registry = written["registry"]
    count = registry.get("count", 1)
    many = isinstance(count, int) and count > 1
    if not many and registry.get("scaling") is None:
        if "shutdownDelay" in registry:
            yield _problem("registry.shutdownDelay", "is for several instances only; remove it")
        return
    key = "registry.count" if many else "registry.scaling"
    config = registry.get("config")
    storage = at(config, ("storage",))
    storage = storage if isinstance(storage, Mapping) else {}
    if written["storage"].get("driver") != "s3" and not {"gcs", "azure"} & storage.keys():
        yield _problem(
            key,
            "needs a store that all instances share, and a host volume has one writer: set storage.driver to "
            "s3",
        )
    if registry.get("redis") is None and not (has(storage, ("cache",)) and storage["cache"] is None):
        # docs/decisions/0014-redis-for-several-instances.md
        yield _problem(
            key,
            "needs registry.redis: each instance would remember layers that another one has deleted, and "
            "lose a push; or go without a cache, registry.config.storage.cache: null (docs/scaling.md says "
            "what is refused then)",
        )
    for name in ("port", "debugPort"):
        if name in registry:
            yield _problem(
                f"registry.{name}", "is for one instance only, Nomad chooses those of several: remove it"
            )
    if written["tls"].get("mode") == "plain":
        yield _problem(key, "needs Traefik before the instances: set tls.mode to traefik or registry")


def _version(written: Written) -> RegistryVersion | None:
    registry: Mapping[str, Any] = written["registry"]
    return major_version(registry.get("image", "registry:3"), registry.get("version"))
