import pytest

from config.warnings import warnings

RULE = {"repositories": ["*"], "keepNewest": 10}

HUB = {"name": "docker-hub", "upstream": "https://registry-1.docker.io", "port": 5010}
HOOK = {"name": "hook", "url": {"secure": "https://hook.lan/hunter2"}}

WARNED = {
    "no users": ({}, "nobody can log in"),
    "no authentication": ({"auth": {"mode": "none", "allowAnonymous": True}}, "can push, pull and delete"),
    "plain": ({"tls": {"mode": "plain", "allowPlain": True}}, "cross the network in clear"),
    "every network": ({"access": {"allowedCidrs": ["0.0.0.0/0"]}}, "0.0.0.0/0, which lets every address"),
    "retention that never runs": (
        {"maintenance": {"retention": {"apply": True, "rules": [RULE]}}},
        "acts before a garbage collection, and there is none",
    ),
    "a mirror that dockerd cannot use": (
        {"mirrors": [HUB]},
        "docker-hub asks clients to log in, and dockerd",
    ),
    "a mirror that lets everybody in as its user": (
        {"mirrors": [{**HUB, "auth": "none", "username": "me", "password": "hunter2"}]},
        "whoever reaches docker-hub can pull what its user can at https://registry-1.docker.io",
    ),
    "open ports of several instances beside Traefik": (
        {
            "access": {"allowedCidrs": ["10.0.0.0/8"]},
            "registry": {"count": 2, "redis": {"address": "redis.lan:6379"}},
            "storage": {"driver": "s3", "s3": {"bucket": "images", "region": "any"}},
        },
        "the instances' ports and, without log-in, their debug ports are open",
    ),
    "open ports beside Traefik": (
        {"access": {"allowedCidrs": ["10.0.0.0/8"]}},
        "port 5000 itself and, without log-in, the debug port 5001 are open",
    ),
    "open ports of mirrors and the exporter beside Traefik": (
        {"access": {"allowedCidrs": ["10.0.0.0/8"]}, "mirrors": [HUB], "monitoring": {"port": 5009}},
        "port 5000 itself, port 5010 of docker-hub and, without log-in, the debug port 5001, "
        "the mirrors' debug ports, the exporter's port 5009 are open",
    ),
    "an encrypted address that the registry logs": (
        {
            "access": {"bind": "127.0.0.1"},
            "registry": {"config": {"log": {"level": "warn"}, "notifications": {"endpoints": [HOOK]}}},
        },
        "registry.config.notifications.endpoints.0.url is encrypted, and the registry itself writes it into",
    ),
}


@pytest.mark.parametrize(("sections", "words"), WARNED.values(), ids=WARNED)
def test_a_preview_warns_of_a_registry_that_is_closed_to_all_or_open_to_many(read_settings, sections, words):
    assert any(words in each for each in warnings(read_settings(**sections)))


def test_a_stack_with_users_that_limits_access_has_no_warning(read_settings, bcrypt_hash):
    settings = read_settings(
        auth={"users": {"alice": bcrypt_hash}},
        access={"allowedCidrs": ["192.168.1.0/24"], "bind": "127.0.0.1"},
        mirrors=[
            {**HUB, "auth": "none"},
            {"name": "quay", "upstream": "https://quay.io", "port": 5011, "username": "me", "password": "x"},
        ],
    )
    assert warnings(settings) == []
