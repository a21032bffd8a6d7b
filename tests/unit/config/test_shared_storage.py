import pytest

from config.problems import SettingsError

S3 = {"bucket": "images", "region": "us-east-1", "endpoint": "http://s3.lan:8333"}
STORE = {"driver": "s3", "s3": S3}
REDIS = {"address": "redis.lan:6379"}
MANY = {"count": 3, "redis": REDIS}
DYNAMIC = {"kind": "dynamic", "nodeId": "0a1b2c3d-0000-4000-8000-0123456789ab"}
MIRRORS = [{"name": "quay", "upstream": "https://quay.io", "port": 5011}]


def in_s3(**keys):
    return {"driver": "s3", "s3": {**S3, **keys}}


REFUSED = {
    "a driver that there is not": (
        {"storage": {"driver": "s4"}},
        "storage.driver: 's4' is not one of filesystem, s3",
    ),
    "s3 without a bucket's section": (
        {"storage": {"driver": "s3"}},
        "storage.s3: is required with storage.driver s3",
    ),
    "s3 without a bucket": (
        {"storage": {"driver": "s3", "s3": {"region": "eu"}}},
        "storage.s3.bucket: is required",
    ),
    "s3 without a region": (
        {"storage": {"driver": "s3", "s3": {"bucket": "images"}}},
        "storage.s3.region: is required",
    ),
    "redirect that is no boolean": (
        {"storage": in_s3(redirect="on")},
        "storage.s3.redirect: 'on' is not true or false",
    ),
    "a bucket beside a volume": (
        {"storage": {"s3": S3}},
        "storage.s3: is for storage.driver s3 only",
    ),
    "a volume beside a bucket": (
        {"storage": {**STORE, "volume": "registry_data"}},
        "storage.volume: is for storage.driver filesystem only",
    ),
    "a key without its secret": (
        {"storage": in_s3(accessKey="a")},
        "storage.s3.secretKey: is required beside accessKey",
    ),
    "an endpoint on the container's loopback": (
        {"storage": in_s3(endpoint="http://127.0.0.1:8333")},
        "storage.s3.endpoint: 'http://127.0.0.1:8333' is the container itself there",
    ),
    "an endpoint without a scheme": (
        {"storage": in_s3(endpoint="s3.lan:8333")},
        "storage.s3.endpoint: 's3.lan:8333' is no URL",
    ),
    "an endpoint with a bucket in it": (
        {"storage": in_s3(endpoint="https://s3.lan/images")},
        "storage.s3.endpoint: 'https://s3.lan/images' has a path",
    ),
    "an endpoint with a key in it": (
        {"storage": in_s3(endpoint="https://key:hunter2hunter2@s3.lan")},
        "storage.s3.endpoint: has a user in it",
    ),
    "a bucket in config.yml alone": (
        {"registry": {"config": {"storage": {"filesystem": None, "s3": {"bucket": "b", "region": "r"}}}}},
        "registry.config.storage.s3: is not set here: set storage.driver to s3",
    ),
    "the driver's other name": (
        {"registry": {"config": {"storage": {"filesystem": None, "s3aws": {"bucket": "b", "region": "r"}}}}},
        "registry.config.storage.s3aws: is not set here: set storage.driver to s3",
    ),
    "the bucket in two places": (
        {"storage": STORE, "registry": {"config": {"storage": {"s3": {"bucket": "other"}}}}},
        "registry.config.storage.s3.bucket: is not set here: set storage.s3.bucket",
    ),
    "redirect in two places": (
        {"storage": STORE, "registry": {"config": {"storage": {"redirect": {"disable": True}}}}},
        "registry.config.storage.redirect: is not set here: set storage.s3.redirect",
    ),
    "host names of buckets in 2.x": (
        {"storage": in_s3(pathStyle=False), "registry": {"image": "registry:2"}},
        "storage.s3.pathStyle: is not chosen in distribution 2.x",
    ),
    "a kind of volume where there is none": (
        {"storage": {**STORE, "kind": "static"}},
        "storage.kind: is for a host volume, and neither the images nor mirrors have one here; remove it",
    ),
    "instances on a host volume": (
        {"registry": MANY},
        "registry.count: needs a store that all instances share",
    ),
    "instances that an autoscaler may start on a host volume": (
        {"registry": {"scaling": {"min": 1, "max": 3}, "redis": REDIS}},
        "registry.scaling: needs a store that all instances share",
    ),
    "instances that remember on their own": (
        {"storage": STORE, "registry": {"count": 3}},
        "registry.count: needs registry.redis",
    ),
    "instances with a port": (
        {"storage": STORE, "registry": {**MANY, "port": 5000}},
        "registry.port: is for one instance only",
    ),
    "instances without Traefik": (
        {"storage": STORE, "registry": MANY, "tls": {"mode": "plain", "allowPlain": True}},
        "registry.count: needs Traefik before the instances",
    ),
    "a delay of one instance": (
        {"registry": {"shutdownDelay": "5s"}},
        "registry.shutdownDelay: is for several instances only",
    ),
    "fewer than the autoscaler's fewest": (
        {"storage": STORE, "registry": {"redis": REDIS, "scaling": {"min": 2, "max": 3}}},
        "registry.count: 1 is not between registry.scaling.min and max, 2 and 3",
    ),
    "bounds the wrong way round": (
        {"storage": STORE, "registry": {**MANY, "scaling": {"min": 4, "max": 3}}},
        "registry.scaling.min: 4 is more than registry.scaling.max",
    ),
    "a Redis without a port": (
        {"storage": STORE, "registry": {"redis": {"address": "redis.lan"}}},
        "registry.redis.address: 'redis.lan' is no address",
    ),
    "a Redis on the container's loopback": (
        {"storage": STORE, "registry": {"redis": {"address": "localhost:6379"}}},
        "registry.redis.address: 'localhost:6379' is the container itself there",
    ),
    "a Redis in two places": (
        {"registry": {"redis": REDIS, "config": {"redis": {"addrs": ["other.lan:6379"]}}}},
        "registry.config.redis.addrs: is not set here: registry.redis says it",
    ),
    "a cache in two places": (
        {"registry": {"redis": REDIS, "config": {"storage": {"cache": {"blobdescriptor": "inmemory"}}}}},
        "registry.config.storage.cache: is not set here: registry.redis says it",
    ),
    "a password that 2.x shows": (
        {"registry": {"image": "registry:2", "redis": {**REDIS, "password": "hunter2hunter2"}}},
        "registry.redis.password: is shown by distribution 2.x to whoever asks its metrics port",
    ),
    "a password in config.yml that 2.x shows": (
        {
            "registry": {
                "image": "registry:2",
                "config": {
                    "storage": {"cache": {"blobdescriptor": "redis"}},
                    "redis": {"addr": "r:1", "password": "hunter2hunter2"},
                },
            }
        },
        "registry.config.redis.password: is shown by distribution 2.x to whoever asks its metrics port",
    ),
    "a restore that Redis outlives": (
        {"registry": {"redis": REDIS}, "maintenance": {"backup": {}}},
        "maintenance.backup: leaves what is gone in the cache, which Redis keeps: remove registry.redis",
    ),
    "another log-in to Redis": (
        {"registry": {"redis": REDIS, "config": {"redis": {"username": "other"}}}},
        "registry.config.redis.username: is not set here: registry.redis says it",
    ),
}


@pytest.mark.parametrize(("sections", "line"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_shared_is_refused_with_what_to_do(read_settings, sections, line):
    with pytest.raises(SettingsError) as caught:
        read_settings(**sections)
    assert f"Pulumi.dev.yaml: docker-registry:{line}" in str(caught.value)
    assert "hunter2hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


ACCEPTED = {
    "a bucket": {"storage": STORE},
    "a bucket of Amazon's, by the machine's own role": {
        "storage": {"driver": "s3", "s3": {"bucket": "images", "region": "eu-central-1"}}
    },
    "finer keys of the driver": {
        "storage": STORE,
        "registry": {"config": {"storage": {"s3": {"chunksize": 10485760, "storageclass": "STANDARD_IA"}}}},
    },
    "a bucket beside mirrors, whose cache is on a dynamic volume": {
        "storage": {**STORE, **DYNAMIC},
        "mirrors": MIRRORS,
    },
    "a bucket that is collected": {"storage": STORE, "maintenance": {"garbageCollection": {}}},
    "three instances": {"storage": STORE, "registry": {**MANY, "shutdownDelay": "4s"}},
    "three instances that remember nothing": {
        "storage": STORE,
        "registry": {"count": 3, "config": {"storage": {"cache": None}}},
    },
    "instances in another shared store": {
        "registry": {**MANY, "config": {"storage": {"filesystem": None, "gcs": {"bucket": "images"}}}}
    },
    "an autoscaler": {"storage": STORE, "registry": {**MANY, "scaling": {"min": 2, "max": 5}}},
    "one instance with a Redis": {"registry": {"redis": {**REDIS, "password": "hunter2"}}},
    "a collection, which empties Redis": {
        "storage": STORE,
        "registry": MANY,
        "maintenance": {"garbageCollection": {}},
    },
    "a Redis of 2.x": {"registry": {"image": "registry:2", "redis": REDIS}},
}


@pytest.mark.parametrize("sections", ACCEPTED.values(), ids=ACCEPTED)
def test_what_can_be_shared_is_accepted(read_settings, sections):
    read_settings(**sections)
