import json

import pytest

from config.problems import SettingsError

GRANTS = {"ci-app": {"repositories": {"ci/app": ["pull", "push"]}}}
VAULT = {"mode": "vault", "grants": GRANTS}
KEYS = json.dumps({"keys": [{"kty": "EC", "kid": "1", "crv": "P-256", "x": "a", "y": "b"}]})
EXTERNAL = {"realm": "https://auth.lan/token", "service": "registry", "issuer": "auth"}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICozIMZfcJdjcnLknmkKsb2CCTzMO9ggz8HL5l+RXTJ7"
OIDC = {"discoveryUrl": "https://id.lan", "clientId": "vault", "clientSecret": "hunter2hunter2"}
SECRET_URL = {"name": "hook", "url": {"secure": "https://hook.lan/hunter2hunter2"}, "timeout": "1s"}
EVENTS = {
    "name": "events",
    "url": "http://events.lan/",
    "headers": {"Authorization": ["hunter2hunter2"]},
    "timeout": "1s",
    "threshold": 5,
    "backoff": "1s",
}

PEM_WITH_KEY = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"

REFUSED = {
    # auth
    "vault mode on a 2.x image": (
        {"auth": VAULT, "registry": {"image": "registry:2"}},
        "auth.mode: 'vault' needs distribution 3.x",
    ),
    "vault mode without grants": ({"auth": {"mode": "vault"}}, "auth.grants: is required"),
    "an unknown action": (
        {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"ci/app": ["pull", "write"]}}}}},
        "auth.grants.ci.repositories.ci/app[1]: 'write' is not one of pull, push, delete",
    ),
    "an illegal repository name": (
        {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"CI/App:1": ["pull"]}}}}},
        "auth.grants.ci.repositories.CI/App:1: is no repository name",
    ),
    "a push without a pull": (
        {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"ci/app": ["push"]}}}}},
        "auth.grants.ci.repositories.ci/app: push needs pull beside it",
    ),
    "a ttl too short": (
        {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"a": ["pull"]}, "ttl": "5s"}}}},
        "auth.grants.ci.ttl: '5s' is not between 1m and 24h",
    ),
    "a ttl too long": (
        {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"a": ["pull"]}, "ttl": "48h"}}}},
        "auth.grants.ci.ttl: '48h' is not between 1m and 24h",
    ),
    "a ttl that is none": (
        {"auth": {"mode": "vault", "grants": {"ci": {"repositories": {"a": ["pull"]}, "ttl": "soon"}}}},
        "auth.grants.ci.ttl: 'soon' is no duration; write it like 15m or 1h30m",
    ),
    "a grant with a job's name": (
        {"auth": {"mode": "vault", "grants": {"keys": {"repositories": {"a": ["pull"]}}}}},
        "auth.grants.keys: a grant cannot be named keys",
    ),
    "users in vault mode": (
        {"auth": {**VAULT, "users": {"alice": "$2b$10$" + "a" * 53}}},
        "auth.users: is for auth.mode htpasswd only",
    ),
    "grants in htpasswd mode": ({"auth": {"grants": GRANTS}}, "auth.grants: is for auth.mode vault only"),
    "a group with a grant that is none": (
        {"auth": {**VAULT, "oidc": {**OIDC, "groups": {"developers": ["ci-ap"]}}}},
        "auth.oidc.groups.developers[0]: 'ci-ap' is no grant; did you mean ci-app?",
    ),
    "nodes with a grant that is none": (
        {"auth": {**VAULT, "nodes": {"grant": "all"}}},
        "auth.nodes.grant: 'all' is no grant; known are ci-app",
    ),
    "external mode without its keys": (
        {"auth": {"mode": "external", "external": EXTERNAL}},
        "auth.external: takes exactly one of rootCertBundle and jwks",
    ),
    "external mode without its section": (
        {"auth": {"mode": "external"}},
        "auth.external: is required with auth.mode external",
    ),
    "a key set on a 2.x image": (
        {
            "auth": {"mode": "external", "external": {**EXTERNAL, "jwks": KEYS}},
            "registry": {"image": "registry:2"},
        },
        "auth.external.jwks: needs distribution 3.x",
    ),
    "a key set with a private key": (
        {
            "auth": {
                "mode": "external",
                "external": {**EXTERNAL, "jwks": '{"keys": [{"kty": "EC", "d": "x"}]}'},
            }
        },
        "auth.external.jwks: has a private or symmetric key in it",
    ),
    "a bundle that is no certificate": (
        {"auth": {"mode": "external", "external": {**EXTERNAL, "rootCertBundle": "/etc/ca.crt"}}},
        "auth.external.rootCertBundle: is no PEM certificate",
    ),
    "a bundle with a private key": (
        {"auth": {"mode": "external", "external": {**EXTERNAL, "rootCertBundle": PEM_WITH_KEY}}},
        "auth.external.rootCertBundle: has a private key in it",
    ),
    "a key set without keys": (
        {"auth": {"mode": "external", "external": {**EXTERNAL, "jwks": '{"keys": []}'}}},
        "auth.external.jwks: is no JSON Web Key Set",
    ),
    "nobody checked without an allowance": (
        {"auth": {"mode": "none"}},
        "auth.mode: 'none' lets everybody push, pull and delete",
    ),
    # tls
    "plain on all addresses": ({"tls": {"mode": "plain"}}, "tls.mode: 'plain' lets everybody on the network"),
    "plain on another machine's address": (
        {"tls": {"mode": "plain"}, "access": {"bind": "192.168.1.10"}},
        "tls.mode: 'plain' lets everybody on the network",
    ),
    "a resolver where Traefik ends no TLS": (
        {"tls": {"mode": "registry", "certResolver": "le"}},
        "tls.certResolver: is for tls.mode traefik only",
    ),
    "an authority where Traefik ends TLS": (
        {"tls": {"authority": {"mount": "pki"}}},
        "tls.authority: is for tls.mode registry only",
    ),
    "a role without its mount": (
        {"tls": {"mode": "registry", "authority": {"role": "web"}}},
        "tls.authority.mount: is required beside a role",
    ),
    "a certificate's life too short": (
        {"tls": {"mode": "registry", "authority": {"ttl": "10m"}}},
        "tls.authority.ttl: '10m' is not between 24h and 8760h",
    ),
    "a certificate of the user's own": (
        {"tls": {"mode": "registry"}, "registry": {"config": {"http": {"tls": {"certificate": "/c.pem"}}}}},
        "registry.config.http.tls.certificate: is not set here: tls.mode registry gets its",
    ),
    "TLS 1.1": (
        {
            "tls": {"mode": "registry"},
            "registry": {"image": "registry:2", "config": {"http": {"tls": {"minimumtls": "tls1.1"}}}},
        },
        "registry.config.http.tls.minimumtls: 'tls1.1' is broken",
    ),
    "ciphers where Traefik ends TLS": (
        {"registry": {"config": {"http": {"tls": {"minimumtls": "tls1.3"}}}}},
        "registry.config.http.tls: is for tls.mode registry only",
    ),
    # the registry's own log
    "a secret that the registry would log": (
        {
            "registry": {"config": {"notifications": {"endpoints": [EVENTS]}}},
            "access": {"bind": "127.0.0.1"},
        },
        "registry.config.notifications.endpoints[0].headers.Authorization[0]: is written into",
    ),
    "a secret that the debug port would show": (
        {"registry": {"config": {"log": {"level": "warn"}, "notifications": {"endpoints": [EVENTS]}}}},
        "registry.config.notifications.endpoints[0].headers.Authorization[0]: is shown by the debug port",
    ),
    "an encrypted address that the debug port would show": (
        {
            "registry": {"config": {"log": {"level": "error"}, "notifications": {"endpoints": [SECRET_URL]}}},
            "access": {"bind": "192.168.1.10"},
        },
        "registry.config.notifications.endpoints[0].url: is shown by the debug port",
    ),
    # access
    "a trusted host without its key": (
        {"tls": {"mode": "registry"}, "access": {"trustedHosts": [{"address": "nas.lan"}]}},
        "access.trustedHosts[0].hostKey: is required",
    ),
    "a machine that is trusted twice": (
        {
            "tls": {"mode": "registry"},
            "access": {
                "trustedHosts": [
                    {"address": "nas.lan", "hostKey": HOST_KEY},
                    {"address": "NAS.lan", "port": 22, "user": "me", "hostKey": HOST_KEY},
                ]
            },
        },
        "access.trustedHosts: has nas.lan:22 twice; remove one",
    ),
    "a service that is allowed twice": (
        {"access": {"allowedServices": ["traefik", "web", "traefik"]}},
        "access.allowedServices: has traefik twice; remove one",
    ),
    "trusted hosts without an authority": (
        {"access": {"trustedHosts": [{"address": "nas.lan", "hostKey": HOST_KEY}]}},
        "access.trustedHosts: is for tls.mode registry only",
    ),
    "a malformed network": (
        {"access": {"allowedCidrs": ["192.168.1.0/33"]}},
        "access.allowedCidrs[0]: '192.168.1.0/33' is no network; write it like 192.168.1.0/24",
    ),
    "a network with host bits": (
        {"access": {"allowedCidrs": ["192.168.1.7/24"]}},
        "access.allowedCidrs[0]: '192.168.1.7/24' has host bits set: write 192.168.1.0/24",
    ),
    "networks without Traefik": (
        {"tls": {"mode": "plain"}, "access": {"bind": "127.0.0.1", "allowedCidrs": ["10.0.0.0/8"]}},
        "access.allowedCidrs: is enforced by Traefik",
    ),
    "every address": ({"access": {"bind": "0.0.0.0"}}, "access.bind: '0.0.0.0' is every address"),
    "a network with a mask": (
        {"access": {"allowedCidrs": ["192.168.1.0/255.255.255.0"]}},
        "access.allowedCidrs[0]: '192.168.1.0/255.255.255.0' is no network",
    ),
    "a network with a zone": (
        {"access": {"allowedCidrs": ["fe80::1%eth0/128"]}},
        "access.allowedCidrs[0]: 'fe80::1%eth0/128' is no network",
    ),
    "a stack with the default one's service": (
        {"registry": {"name": "registry"}},
        "registry.name: 'registry' is a service of the stack docker-registry",
    ),
    "a stack with another service of the default one's": (
        {"registry": {"name": "registry-metrics"}},
        "registry.name: 'registry-metrics' is a service of the stack docker-registry",
    ),
    **{
        f"a stack with the default one's {name}": (
            {"registry": {"name": name}},
            f"registry.name: '{name}' is a service of the stack docker-registry",
        )
        for name in (
            "registry-exporter",
            "registry-mirrors",
            "registry-mirrors-metrics",
            "registry-mirror-docker-hub",
        )
    },
    "an address that is none": (
        {"access": {"bind": "192.168.1"}},
        "access.bind: '192.168.1' is neither an address",
    ),
    # maintenance
    "backups of a bucket": (
        {
            "maintenance": {"backup": {}},
            "storage": {"driver": "s3", "s3": {"region": "eu", "bucket": "images"}},
        },
        "maintenance.backup: is for images on the volume",
    ),
    # monitoring
    "the registry's port for the exporter": (
        {"monitoring": {"port": 5000}},
        "monitoring.port: 5000 is registry.port already",
    ),
    "the exporter's default port for metrics": (
        {"monitoring": {}, "registry": {"debugPort": 5002}},
        "monitoring.port: 5002 is registry.debugPort already",
    ),
}


@pytest.mark.parametrize(("sections", "line"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_together_is_refused_with_what_to_do(read_settings, sections, line):
    with pytest.raises(SettingsError) as caught:
        read_settings(**sections)
    assert f"Pulumi.dev.yaml: docker-registry:{line}" in str(caught.value)
    assert "hunter2hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


ACCEPTED = {
    "every action": {
        "auth": {"mode": "vault", "grants": {"x": {"repositories": {"a/b_c": ["pull", "push", "delete"]}}}}
    },
    "plain on loopback": {"tls": {"mode": "plain"}, "access": {"bind": "127.0.0.1"}},
    "plain with an allowance": {"tls": {"mode": "plain", "allowPlain": True}},
    "nobody checked, with an allowance": {"auth": {"mode": "none", "allowAnonymous": True}},
    "a key set on a 3.x image": {"auth": {"mode": "external", "external": {**EXTERNAL, "jwks": KEYS}}},
    "an authority that is there": {
        "tls": {"mode": "registry", "authority": {"mount": "pki", "role": "web"}},
        "registry": {"config": {"http": {"tls": {"minimumtls": "tls1.3"}}}},
    },
    "secrets that the registry tells nobody": {
        "registry": {
            "config": {"log": {"level": "warn"}, "notifications": {"endpoints": [EVENTS, SECRET_URL]}}
        },
        "access": {"bind": "127.0.0.1"},
    },
    "notifications without a secret": {
        "registry": {"config": {"notifications": {"endpoints": [{"name": "e", "url": "http://events.lan/"}]}}}
    },
    "two SSH servers of one machine": {
        "tls": {"mode": "registry"},
        "access": {
            "trustedHosts": [{"address": "nas.lan", "hostKey": HOST_KEY, "port": port} for port in (22, 2222)]
        },
    },
    "a host network": {"access": {"bind": "lan"}},
    "the exporter's default port without an exporter": {"registry": {"port": 5002}},
    "people and nodes": {
        "auth": {
            **VAULT,
            "oidc": {**OIDC, "groups": {"developers": ["ci-app"]}},
            "nodes": {"grant": "ci-app"},
        }
    },
}


@pytest.mark.parametrize("sections", ACCEPTED.values(), ids=ACCEPTED)
def test_what_works_together_is_accepted(read_settings, sections):
    read_settings(**sections)


@pytest.mark.parametrize(
    "auth",
    [
        {**VAULT, "oidc": {**OIDC, "groups": {"developers": [{"a": "b"}]}}},
        {**VAULT, "nodes": {"grant": ["x"]}},
        {**VAULT, "oidc": []},
        {"mode": "vault", "grants": ["ci-app"]},
        {"mode": ["vault"]},
        {"mode": "external", "external": ["x"]},
    ],
    ids=json.dumps,
)
def test_what_has_the_wrong_form_is_reported_and_no_traceback(read_settings, auth):
    with pytest.raises(SettingsError):
        read_settings(auth=auth)
