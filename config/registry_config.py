"""The registry's config.yml of a stack: for which version, and the stack's own over our defaults."""

from collections.abc import Mapping
from typing import Any

from config import registry as registry_model
from config.sections.instances import Redis
from config.sections.s3 import S3

# Answers come in milliseconds; one that does not come is not waited for, and the bucket is asked.
_REDIS_TIMEOUT = "1s"


def major_version(image: object, version: object) -> registry_model.RegistryVersion | None:
    """Tell the registry's major version: what `version` says, else what the image's tag says."""
    if version in (2, 3):
        return registry_model.RegistryVersion(str(version))
    return registry_model.version_of_image(image) if isinstance(image, str) else None


def merged_config(
    config: Mapping[str, Any],
    version: registry_model.RegistryVersion,
    *,
    s3: S3 | None = None,
    redis: Redis | None = None,
) -> dict[str, Any]:
    """Merge the stack's own config.yml over our defaults, and those over what its other settings say."""
    defaults = registry_model.defaults(version)
    if s3:
        defaults = registry_model.merge(defaults, s3_config(s3, version))
    if redis:
        defaults = registry_model.merge(defaults, redis_config(redis, version))
    merged = registry_model.merge(defaults, config)
    # What the job relies on stays, also when a whole section was removed with null.
    owned = {"http": {key: defaults["http"][key] for key in ("addr", "debug")}}
    return registry_model.merge(merged, owned)


def s3_config(s3: S3, version: registry_model.RegistryVersion) -> dict[str, Any]:
    """Write the bucket as config.yml has it; 2.x takes any endpoint by path style."""
    driver: dict[str, Any] = {"region": s3.region, "bucket": s3.bucket}
    if s3.endpoint:
        driver["regionendpoint"] = s3.endpoint
    if s3.uses_path_style and version is registry_model.RegistryVersion.V3:
        driver["forcepathstyle"] = True
    if s3.access_key and s3.secret_key:
        driver |= {"accesskey": s3.access_key, "secretkey": s3.secret_key}
    if s3.prefix:
        driver["rootdirectory"] = f"/{s3.prefix}"
    return {"storage": {"filesystem": None, "s3": driver, "redirect": {"disable": not s3.redirect}}}


def redis_config(redis: Redis, version: registry_model.RegistryVersion) -> dict[str, Any]:
    """Write the Redis as config.yml has it, whose layout is another one in 3.x."""
    server: dict[str, Any] = {f"{kind}timeout": _REDIS_TIMEOUT for kind in ("dial", "read", "write")}
    if redis.password:
        server["password"] = redis.password
    if version is registry_model.RegistryVersion.V3:
        server["addrs"] = [redis.address]
    else:
        # Without a pool it would connect anew for each question.
        server |= {"addr": redis.address, "pool": {"maxidle": 16, "idletimeout": "300s"}}
    return {"storage": {"cache": {"blobdescriptor": "redis"}}, "redis": server}
