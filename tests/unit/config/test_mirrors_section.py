import pytest

from config.problems import SettingsError

HUB = {"name": "docker-hub", "upstream": "https://registry-1.docker.io", "port": 5010}
QUAY = {"name": "quay", "upstream": "https://quay.io", "port": 5011}


def test_a_mirror_needs_a_name_an_upstream_and_a_port(read_settings):
    (mirror,) = read_settings(mirrors=[HUB]).mirrors.root

    assert (mirror.auth, mirror.ttl, mirror.username, mirror.limit) == ("same", "168h", None, None)
    assert read_settings().mirrors.root == ()


@pytest.mark.parametrize(("size", "limit"), [("1MiB", 2**20), ("20GiB", 20 * 2**30), ("2TiB", 2**41)])
def test_a_size_is_read_as_bytes(read_settings, size, limit):
    (mirror,) = read_settings(mirrors=[{**HUB, "maxSize": size}]).mirrors.root

    assert mirror.limit == limit


def test_an_upstream_is_written_in_one_way(read_settings):
    (mirror,) = read_settings(mirrors=[{**HUB, "upstream": "https://Quay.IO/"}]).mirrors.root

    assert mirror.upstream == "https://quay.io"


@pytest.mark.parametrize(
    ("sections", "name", "url", "port_url"),
    [
        ({}, "docker-hub.registry.homelab.local", "https://{}", "http://registry.homelab.local:5010"),
        (
            {"tls": {"mode": "registry", "port": 8443}},
            "docker-hub.registry.homelab.local",
            "https://{}:8443",
            "https://registry.homelab.local:5010",
        ),
        (
            {"tls": {"mode": "plain", "allowPlain": True}},
            "docker-hub.registry.homelab.local",
            "http://registry.homelab.local:5010",
            "http://registry.homelab.local:5010",
        ),
    ],
    ids=["traefik", "registry", "plain"],
)
def test_clients_come_by_traefik_or_by_the_own_port(read_settings, sections, name, url, port_url):
    settings = read_settings(mirrors=[HUB], **sections)
    (mirror,) = settings.mirrors.root

    assert settings.mirror_hostname(mirror) == name
    assert settings.mirror_url(mirror) == url.format(name)
    assert settings.mirror_port_url(mirror) == port_url


def test_a_further_stack_has_names_of_its_own(read_settings):
    settings = read_settings(registry={"name": "team"}, mirrors=[HUB])

    assert settings.mirrors_job == "team-mirrors"
    assert settings.mirror_service(settings.mirrors.root[0]) == "team-mirror-docker-hub"
    assert settings.cache_volume == "team_cache"


@pytest.mark.parametrize(
    ("storage", "volume", "path"),
    [
        ({}, "registry_cache", "/volume1/nomad/volumes/registry_cache"),
        ({"class": "high_capacity"}, "registry_cache", "/volume1/nomad/volumes/high_capacity/registry_cache"),
        ({"cacheVolume": "ssd", "cachePath": "/volume2/cache"}, "ssd", "/volume2/cache"),
    ],
)
def test_caches_have_a_volume_of_their_own(read_settings, storage, volume, path):
    settings = read_settings(storage=storage, mirrors=[HUB])

    assert (settings.cache_volume, str(settings.cache_path)) == (volume, path)
    assert f'host_volume "{volume}"' in settings.cache_stanza and f'"{path}"' in settings.cache_stanza


REFUSED = {
    "a mapping": ({"mirrors": {}}, "mirrors: the value (not shown) is not a list"),
    "two of one name": (
        {"mirrors": [HUB, {**QUAY, "name": "docker-hub"}]},
        "mirrors[1].name: 'docker-hub' is mirrors[0].name already; give each its own",
    ),
    "two of one port": (
        {"mirrors": [HUB, {**QUAY, "port": 5010}]},
        "mirrors[1].port: 5010 is mirrors[0].port already; give each its own",
    ),
    "two of one upstream": (
        {"mirrors": [QUAY, {**HUB, "upstream": "https://QUAY.io/"}]},
        "mirrors[1].upstream: is mirrors[0].upstream already; give each its own",
    ),
    "two of one host name": (
        {"mirrors": [HUB, {**QUAY, "hostname": "Docker-Hub.registry.homelab.local"}]},
        "mirrors[1].hostname: 'Docker-Hub.registry.homelab.local' is mirrors[0].hostname already",
    ),
    "the registry's port": (
        {"mirrors": [{**HUB, "port": 5000}]},
        "mirrors[0].port: 5000 is registry.port already; give each its own",
    ),
    "the registry's debug port": (
        {"mirrors": [{**HUB, "port": 7001}], "registry": {"debugPort": 7001}},
        "mirrors[0].port: 7001 is registry.debugPort already; give each its own",
    ),
    "the registry's host name": (
        {"mirrors": [{**HUB, "hostname": "registry.homelab.local"}]},
        "mirrors[0].hostname: 'registry.homelab.local' is registry.hostname already",
    ),
    "no port": (
        {"mirrors": [{"name": "quay", "upstream": "https://quay.io"}]},
        "mirrors[0].port: is required",
    ),
    "an unknown key": (
        {"mirrors": [{**HUB, "readonly": True}]},
        "mirrors[0].readonly: unknown key; known are auth, cpu,",
    ),
    "a CPU share that Docker refuses": (
        {"mirrors": [{**HUB, "cpu": 1}]},
        "mirrors[0].cpu: 1 is less than 2, which is the limit",
    ),
    "a name that Nomad cannot take": (
        {"mirrors": [{**HUB, "name": "Docker Hub"}]},
        "mirrors[0].name: 'Docker Hub' does not have the accepted form",
    ),
    "a user without password": (
        {"mirrors": [{**HUB, "username": "me"}]},
        "mirrors[0].password: is required beside username",
    ),
    "a password without user": (
        {"mirrors": [{**HUB, "password": "hunter2"}]},
        "mirrors[0].username: is required beside password",
    ),
    "an upstream without scheme": (
        {"mirrors": [{**HUB, "upstream": "quay.io"}]},
        "mirrors[0].upstream: 'quay.io' is no URL of a registry; write it like https://registry-1.docker.io",
    ),
    "another scheme": (
        {"mirrors": [{**HUB, "upstream": "ftp://quay.io"}]},
        "mirrors[0].upstream: 'ftp://quay.io' is no URL of a registry",
    ),
    "an upstream with a path": (
        {"mirrors": [{**HUB, "upstream": "https://quay.io/v2"}]},
        "mirrors[0].upstream: 'https://quay.io/v2' has a path, and a registry is mirrored as a whole",
    ),
    "an upstream with a user": (
        {"mirrors": [{**HUB, "upstream": "https://me:hunter2@quay.io"}]},
        "mirrors[0].upstream: has a user in it: give username and password as keys of their own",
    ),
    **{
        f"Docker Hub by the name {name}": (
            {"mirrors": [{**HUB, "upstream": name}]},
            f"mirrors[0].upstream: '{name}' is Docker Hub by another name; its registry is "
            "https://registry-1.docker.io",
        )
        for name in (
            *(
                "https://docker.io",
                "https://index.docker.io",
                "https://INDEX.docker.io/",
                "https://docker.io.",
            ),
            *("https://hub.docker.com", "https://registry.hub.docker.com", "https://registry.docker.io"),
            *("https://www.docker.com", "http://registry-1.docker.io", "https://registry-1.docker.io:5000"),
        )
    },
    "a time that is none": (
        {"mirrors": [{**HUB, "ttl": "7d"}]},
        "mirrors[0].ttl: '7d' is no duration; write it like 168h, or 0 for no end",
    ),
    "a size that is none": (
        {"mirrors": [{**HUB, "maxSize": "20GB"}]},
        "mirrors[0].maxSize: '20GB' is no size; write it like 20GiB",
    ),
    "a time that 2.x does not know": (
        {"mirrors": [{**HUB, "ttl": "24h"}], "registry": {"image": "registry:2"}},
        "mirrors[0].ttl: needs distribution 3.x: 2.x keeps images for 168h; remove it",
    ),
    "a host name without Traefik": (
        {"mirrors": [{**HUB, "hostname": "hub.lan"}], "tls": {"mode": "plain", "allowPlain": True}},
        "mirrors[0].hostname: is for Traefik, which tls.mode plain goes without; remove it",
    ),
    "a schedule for nothing": (
        {"mirrors": [HUB], "maintenance": {"mirrors": {}}},
        "maintenance.mirrors: is for mirrors with a maxSize; remove it, or set one",
    ),
    "a grant that would share a policy": (
        {"auth": {"mode": "vault", "grants": {"mirrors": {"repositories": {"a": ["pull"]}}}}},
        "auth.grants.mirrors: a grant cannot be named mirrors",
    ),
}


@pytest.mark.parametrize(("sections", "line"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused(read_settings, sections, line):
    with pytest.raises(SettingsError) as caught:
        read_settings(**sections)

    assert f"docker-registry:{line}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("password", [["hunter2"], {"value": "hunter2"}, ""])
def test_a_misplaced_password_is_never_shown(read_settings, password):
    with pytest.raises(SettingsError) as caught:
        read_settings(mirrors=[{**HUB, "username": "me", "password": password}])

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"), [("https://quay.io", "https://quay.io:443"), ("http://nas", "http://nas:80/")]
)
def test_the_usual_port_makes_no_other_upstream(read_settings, one, other):
    with pytest.raises(SettingsError, match=r"mirrors\[1\].upstream: is mirrors\[0\].upstream already"):
        read_settings(mirrors=[{**HUB, "upstream": one}, {**QUAY, "upstream": other}])


def test_a_mirror_is_not_on_the_exporters_port(read_settings):
    with pytest.raises(SettingsError, match=r"mirrors\[0\].port: 5002 is monitoring.port already"):
        read_settings(mirrors=[{**HUB, "port": 5002}], monitoring={})


def test_beside_several_instances_the_registrys_port_is_free(read_settings):
    bucket = {"driver": "s3", "s3": {"bucket": "images", "region": "eu"}}
    registry = {"count": 3, "redis": {"address": "10.0.0.9:6379"}}

    assert read_settings(mirrors=[{**HUB, "port": 5000}], storage=bucket, registry=registry).mirrors.root
