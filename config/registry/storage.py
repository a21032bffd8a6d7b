"""The `storage` section: the driver that keeps the images, and how the registry uses it.

Parameter names and bounds: registry/storage/driver/*/ of distribution 2.8.3 and 3.1.2.
"""

from typing import Annotated, Any

from pydantic import Field

from config.registry.section import NEEDS_3, Section, Switch, removed
from config.registry.values import Count, Duration, PositiveDuration, Text, Url, at_least, one_of

MIB = 1024 * 1024

_OTHER_DRIVERS = "keep the images with filesystem, s3, gcs or azure (both services also speak S3's protocol)"


class Filesystem(Section):
    """Images in a directory."""

    rootdirectory: Text | None = None
    maxthreads: Annotated[int | None, Field(ge=25)] = None  # lower values are silently raised to 25


class InMemory(Section):
    """Images in memory, lost on restart."""


class S3(Section):
    """Images in a bucket of S3 or a server that speaks its protocol. Sizes in bytes."""

    bucket: Text
    region: Text | None = None
    regionendpoint: Text | None = None
    accesskey: Text | None = None
    secretkey: Text | None = None
    rootdirectory: Text | None = None
    encrypt: bool | None = None
    keyid: Text | None = None
    secure: bool | None = None
    skipverify: bool | None = None
    v4auth: bool | None = None
    chunksize: Annotated[int | None, Field(ge=5 * MIB)] = None
    multipartcopychunksize: Annotated[int | None, Field(ge=5 * MIB)] = None
    multipartcopymaxconcurrency: Annotated[int | None, Field(ge=1)] = None
    multipartcopythresholdsize: Count | None = None
    useragent: Text | None = None
    storageclass: (
        Annotated[
            str,
            one_of(
                *("NONE", "STANDARD", "REDUCED_REDUNDANCY"),
                v3=(
                    "STANDARD_IA",
                    "ONEZONE_IA",
                    "INTELLIGENT_TIERING",
                    "OUTPOSTS",
                    "GLACIER_IR",
                    "EXPRESS_ONEZONE",
                ),
                ignore_case=True,
            ),
        ]
        | None
    ) = None
    objectacl: (
        Annotated[
            str,
            one_of(
                *("private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read"),
                *("bucket-owner-read", "bucket-owner-full-control"),
            ),
        ]
        | None
    ) = None
    forcepathstyle: Annotated[bool | None, NEEDS_3] = None
    usedualstack: Annotated[bool | None, NEEDS_3] = None
    accelerate: Annotated[bool | None, NEEDS_3] = None
    usefipsendpoint: Annotated[bool | None, NEEDS_3] = None
    redirectendpoint: Annotated[Url | None, NEEDS_3] = None
    loglevel: Annotated[
        Annotated[
            str,
            one_of(
                *("off", "debug", "debugwithsigning", "debugwithhttpbody", "debugwithrequestretries"),
                *("debugwithrequesterrors", "debugwitheventstreambody"),
                ignore_case=True,
            ),
        ]
        | None,
        NEEDS_3,
    ] = None


class Gcs(Section):
    """Images in a bucket of Google Cloud Storage. Sizes in bytes."""

    bucket: Text
    keyfile: Text | None = None
    credentials: dict[str, Any] | None = None  # a service account's key file, as YAML
    rootdirectory: Text | None = None
    chunksize: Annotated[int | None, Field(ge=256 * 1024, multiple_of=256 * 1024)] = None
    maxconcurrency: Annotated[int | None, Field(ge=25)] = None
    useragent: Annotated[Text | None, NEEDS_3] = None


class AzureCredentials(Section):
    """How the registry logs in to Azure."""

    type: Annotated[str, one_of("client_secret", "shared_key", "default_credentials")]
    clientid: Text | None = None
    tenantid: Text | None = None
    secret: Text | None = None


class Azure(Section):
    """Images in a container of Azure Blob Storage."""

    accountname: Text
    container: Text
    accountkey: Text | None = None
    realm: Text | None = None
    credentials: Annotated[AzureCredentials | None, NEEDS_3] = None
    connectionstring: Annotated[Text | None, NEEDS_3] = None
    rootdirectory: Annotated[Text | None, NEEDS_3] = None
    serviceurl: Annotated[Url | None, NEEDS_3] = None
    max_retries: Annotated[Count | None, NEEDS_3] = None
    retry_delay: Annotated[Duration | None, NEEDS_3] = None
    skipverify: Annotated[bool | None, NEEDS_3] = None


class Oss(Section):
    """Images in a bucket of Aliyun OSS. Sizes in bytes."""

    accesskeyid: Text
    accesskeysecret: Text
    region: Text
    bucket: Text
    endpoint: Text | None = None
    internal: bool | None = None
    encrypt: bool | None = None
    secure: bool | None = None
    chunksize: Annotated[int | None, Field(ge=5 * MIB)] = None
    rootdirectory: Text | None = None


class Swift(Section):
    """Images in a container of OpenStack Swift. Sizes in bytes."""

    username: Text
    password: Text
    authurl: Url
    container: Text
    tenant: Text | None = None
    tenantid: Text | None = None
    domain: Text | None = None
    domainid: Text | None = None
    tenantdomain: Text | None = None
    tenantdomainid: Text | None = None
    trustid: Text | None = None
    region: Text | None = None
    authversion: Count | None = None
    prefix: Text | None = None
    endpointtype: Annotated[str, one_of("public", "internal", "admin")] | None = None
    insecureskipverify: bool | None = None
    chunksize: Annotated[int | None, Field(ge=MIB)] = None
    secretkey: Text | None = None
    accesskey: Text | None = None
    tempurlcontainerkey: bool | None = None
    tempurlmethods: list[Text] | None = None


class Redirect(Section):
    """Whether pulls are sent to the storage service itself; without `disable` the registry panics."""

    disable: bool


CacheKind = Annotated[str, one_of("inmemory", "redis")]


class Cache(Section):
    """Where blob descriptors are cached; the rules refuse `layerinfo`, the old name of `blobdescriptor`."""

    blobdescriptor: CacheKind | None = None
    layerinfo: CacheKind | None = None
    blobdescriptorsize: Annotated[Count | None, NEEDS_3] = None  # descriptors; 0 is unbounded


class Tag(Section):
    """How many tags are looked up at a time; 0 is one for each CPU."""

    concurrencylimit: Count


class UploadPurging(Section):
    """Removal of uploads that were never finished."""

    enabled: bool | None = None
    age: Annotated[Duration, at_least("1h")] | None = None  # what a slow push is still writing is younger
    interval: PositiveDuration | None = None
    dryrun: bool | None = None


class Maintenance(Section):
    """Purging of stale uploads, and the switch that makes the registry read-only."""

    uploadpurging: UploadPurging | None = None
    readonly: Switch | None = None


class Storage(Section):
    """One driver, and settings that hold for each of them."""

    filesystem: Filesystem | None = None
    inmemory: InMemory | None = None
    s3: S3 | None = None
    s3aws: S3 | None = None  # the driver's own name, of which s3 is an alias
    gcs: Gcs | None = None
    azure: Azure | None = None
    oss: Annotated[Oss | None, removed(_OTHER_DRIVERS)] = None
    swift: Annotated[Swift | None, removed(_OTHER_DRIVERS)] = None
    delete: Switch | None = None
    redirect: Redirect | None = None
    cache: Cache | None = None
    maintenance: Maintenance | None = None
    tag: Annotated[Tag | None, NEEDS_3] = None


DRIVERS = ("filesystem", "inmemory", "s3", "s3aws", "gcs", "azure", "oss", "swift")
