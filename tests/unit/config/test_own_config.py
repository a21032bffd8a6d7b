"""What the registry would take in its config.yml, and our jobs, commands and clients could not live with."""

import pytest

from config.problems import SettingsError

CACHE = {"proxy": {"remoteurl": "https://hub.lan"}}
COLLECTED = {"garbageCollection": {"schedule": "@daily"}}

# sections, key of the problem, part of its message
REFUSED = {
    "a prefix that no client knows": (
        {"http": {"prefix": "/registry/"}},
        "http.prefix",
        "at the root of a host",
    ),
    "a socket": ({"http": {"net": "unix"}}, "http.net", "has no port that Nomad could publish"),
    "one name for all": (
        {"http": {"host": "https://registry.homelab.local"}},
        "http.host",
        "would win over relativeurls",
    ),
    "a header of the protocol": (
        {"http": {"headers": {"link": ["<https://x>; rel=next"]}}},
        "http.headers.link",
        "is written by the registry itself",
    ),
    "the header of the freeze": (
        {"http": {"headers": {"x-registry-mode": ["read-write"]}}},
        "http.headers.x-registry-mode",
        "is written by the registry itself",
    ),
    "a pull-through cache": (CACHE, "proxy", "a cache that takes no pushes: remove it, and add a mirror"),
    "a middleware that fails every request": (
        {"middleware": {"repository": [{"name": "mine"}]}},
        "middleware.repository",
        "in registry:3 every request would fail",
    ),
    "a middleware that lets it die": (
        {"middleware": {"registry": [{"name": "mine"}]}},
        "middleware.registry",
        "needs an image that has it",
    ),
    "a Redis that nothing asks": (
        {"redis": {"addrs": ["redis.lan:6379"]}},
        "redis",
        "set storage.cache.blobdescriptor to redis",
    ),
    "a Redis for the old name of the cache": (
        {"storage": {"cache": {"layerinfo": "redis"}}, "redis": {"addrs": ["redis.lan:6379"]}},
        "storage.cache.layerinfo",
        "'redis' is the old name of storage.cache.blobdescriptor",
    ),
    "a timer without a pause": (
        {"health": {"storagedriver": {"enabled": True, "interval": "1ns"}}},
        "health.storagedriver.interval",
        "'1ns' must be 1s or longer",
    ),
}
BESIDE = {
    "a collection of images in memory": (
        {"maintenance": COLLECTED, "registry": {"config": {"storage": {"filesystem": None, "inmemory": {}}}}},
        "maintenance.garbageCollection: restarts the registry, and registry.config.storage.inmemory forgets",
    ),
    "text for pipelines that read JSON": (
        {"monitoring": {}, "registry": {"config": {"log": {"formatter": "text"}}}},
        "registry.config.log.formatter: 'text' is not read by the log pipelines and panels of monitoring",
    ),
    "no log section, which is text": (
        {"monitoring": {}, "registry": {"config": {"log": None}}},
        "registry.config.log.formatter: 'text' is not read",
    ),
}
ACCEPTED = {
    "one name, said twice": {
        "registry": {"config": {"http": {"host": "https://registry.homelab.local", "relativeurls": False}}}
    },
    "HTTP/2 in clear": {"registry": {"config": {"http": {"h2c": {"enabled": True}}}}},
    "headers of one's own": {"registry": {"config": {"http": {"headers": {"X-Rack": ["7"]}}}}},
    "a middleware in an image of one's own": {
        "registry": {
            "image": "nas.lan/our-registry:3",
            "config": {"middleware": {"repository": [{"name": "mine"}]}},
        }
    },
    "text without pipelines": {"registry": {"config": {"log": {"formatter": "text"}}}},
    "images in memory": {"registry": {"config": {"storage": {"filesystem": None, "inmemory": {}}}}},
    "a Redis for the cache": {
        "registry": {
            "config": {
                "storage": {"cache": {"blobdescriptor": "redis"}},
                "redis": {"addrs": ["redis.lan:6379"]},
            }
        }
    },
    "nothing to delete, and nothing to push": {
        "registry": {
            "config": {
                "storage": {"delete": {"enabled": False}, "maintenance": {"readonly": {"enabled": True}}}
            }
        }
    },
}


@pytest.mark.parametrize(("config", "key", "message"), REFUSED.values(), ids=REFUSED)
def test_what_ours_could_not_live_with_is_refused_with_what_to_do(read_settings, config, key, message):
    with pytest.raises(SettingsError) as caught:
        read_settings(registry={"config": config})
    lines = str(caught.value).splitlines()
    assert [line for line in lines if f"docker-registry:registry.config.{key}: " in line and message in line]


@pytest.mark.parametrize(("sections", "line"), BESIDE.values(), ids=BESIDE)
def test_what_another_section_could_not_live_with_is_refused(read_settings, sections, line):
    with pytest.raises(SettingsError, match=r"^Pulumi\.dev\.yaml: docker-registry:") as caught:
        read_settings(**sections)
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("sections", ACCEPTED.values(), ids=ACCEPTED)
def test_what_they_can_live_with_is_accepted(read_settings, sections):
    assert read_settings(**sections)
