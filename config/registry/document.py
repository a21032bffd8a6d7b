"""The whole config.yml of distribution 2.x and 3.x, as one typed model."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from config.registry.auth import Auth
from config.registry.health import Health
from config.registry.http import Http
from config.registry.log import Level, Log
from config.registry.middleware import Middlewares
from config.registry.notifications import Notifications
from config.registry.proxy import Proxy
from config.registry.redis import Redis
from config.registry.section import NEEDS_3, Section, refuse, removed
from config.registry.storage import Storage
from config.registry.validation import Validation
from config.registry.values import Count, Text, Url

# Of the catalog: a client that asks for n makes the registry allocate n (handlers/catalog.go).
CatalogEntries = Annotated[int, Field(ge=0, le=100_000)]


class Catalog(Section):
    """The list of repositories."""

    maxentries: CatalogEntries  # in one answer; 0 is the default of 1000


class Tags(Section):
    """The list of a repository's tags."""

    maxtags: Count  # in one answer; 0 is the default of 1000


class RepositoryPolicy(Section):
    """Classes of repository that the token auth may allow."""

    classes: list[Text]


class Policy(Section):
    """What repositories there may be."""

    repository: RepositoryPolicy


class Bugsnag(Section):
    """Errors go to Bugsnag."""

    apikey: Text
    releasestage: Text | None = None
    endpoint: Url | None = None


class NewRelic(Section):
    """Errors and timings go to New Relic."""

    licensekey: Text
    name: Text | None = None
    verbose: bool | None = None


class Reporting(Section):
    """Services that errors are reported to."""

    bugsnag: Bugsnag | None = None
    newrelic: NewRelic | None = None


class Schema1(Section):
    """Docker's image format from before 2017."""

    enabled: bool | None = None
    signingkeyfile: Text | None = None


class Compatibility(Section):
    """Formats of the past."""

    schema1: Schema1


def _schema_version(value: object) -> object:
    if str(value) != "0.1":
        refuse("must be 0.1: it is the version of the format, not of the registry")
    return 0.1


class Document(Section):
    """config.yml, top level."""

    version: Annotated[float, BeforeValidator(_schema_version)]
    log: Log | None = None
    loglevel: Level | None = None  # deprecated, heeded only without log.level
    storage: Storage
    auth: Auth | None = None
    middleware: Middlewares | None = None
    http: Http | None = None
    notifications: Notifications | None = None
    redis: Redis | None = None
    health: Health | None = None
    catalog: Catalog | None = None
    tags: Annotated[Tags | None, NEEDS_3] = None  # 3.1 and newer
    proxy: Proxy | None = None
    validation: Validation | None = None
    policy: Policy | None = None
    reporting: Annotated[Reporting | None, removed("use OpenTelemetry (OTEL_* in the environment)")] = None
    compatibility: Annotated[
        Compatibility | None, removed("schema1 images cannot be served, push them again as schema 2")
    ] = None
