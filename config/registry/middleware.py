"""The `middleware` section: what wraps the registry, its repositories and its storage driver."""

from typing import Annotated, Any

from pydantic import AfterValidator

from config.registry.section import NEEDS_3, Section, refuse, removed
from config.registry.values import Duration, Text, Url, one_of


def _never_disabled(value: bool) -> bool:
    if value:
        refuse("is not heeded by the registry: remove the entry instead")
    return value


class Middleware(Section):
    """A wrapper by name. Only images of your own can have one for registry or repository."""

    name: Text
    options: dict[str, Any] | None = None
    disabled: Annotated[bool, AfterValidator(_never_disabled)] | None = None


class StorageMiddleware(Middleware):
    """A wrapper of the storage driver, which changes where pulls are redirected to."""

    name: Annotated[str, one_of("cloudfront", "redirect", v3=("rewrite",))]


class CloudfrontOptions(Section):
    """Pulls go to CloudFront with signed URLs."""

    baseurl: Text
    privatekey: Text  # path of the key file
    keypairid: Text
    duration: Duration | None = None
    ipfilteredby: Annotated[str, one_of("none", "aws", "awsregion", ignore_case=True)] | None = None
    awsregion: Text | None = None  # comma-separated
    iprangesurl: Url | None = None
    updatefrequency: Annotated[Duration | None, NEEDS_3] = None
    updatefrenquency: Annotated[Duration | None, removed("spell it updatefrequency")] = None


class RedirectOptions(Section):
    """Pulls go to another base URL."""

    baseurl: Url


class RewriteOptions(Section):
    """Pulls go to the driver's URL with parts replaced."""

    scheme: Text | None = None
    host: Text | None = None
    trimpathprefix: Text | None = None


STORAGE_OPTIONS: dict[str, type[Section]] = {
    "cloudfront": CloudfrontOptions,
    "redirect": RedirectOptions,
    "rewrite": RewriteOptions,
}


class Middlewares(Section):
    """The wrappers of each kind, the first one innermost."""

    registry: list[Middleware] | None = None
    repository: list[Middleware] | None = None
    storage: list[StorageMiddleware] | None = None
