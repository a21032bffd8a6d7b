"""Configs that the registry heeds in full are accepted; laid over the defaults, as a stack's are."""

import re

import pytest
import yaml
from text_settings import SPECIAL, around, at, of_template, put, texts

from config.registry import (
    RegistryVersion,
    check,
    defaults,
    merge,
    render,
    secret_key,
    secret_paths,
    value_at,
)
from jobs.config_template import config_template

V2, V3 = RegistryVersion.V2, RegistryVersion.V3
BOTH = (V2, V3)

ACCEPTED = {
    "logs as text, debug in capitals, with a mail on errors": (
        BOTH,
        """
        log:
          level: DEBUG
          formatter: text
          accesslog: {disabled: true}
          fields: {service: registry, rack: 7}
          hooks:
            - type: mail
              levels: [error, panic]
              options:
                smtp: {addr: "mail:25", username: u, password: p, insecure: true}
                from: registry@example.org
                to: [admin@example.org]
        """,
    ),
    "logs the caller": (V3, "log: {reportcaller: true}"),
    "filesystem with threads": (BOTH, "storage: {filesystem: {maxthreads: 50}}"),
    "images in memory": (BOTH, "storage: {filesystem: null, inmemory: {}}"),
    "s3 of Amazon": (
        BOTH,
        """
        storage:
          filesystem: null
          s3:
            {bucket: images, region: eu-central-1, accesskey: a, secretkey: b, encrypt: true, keyid: k,
             storageclass: reduced_redundancy, objectacl: bucket-owner-full-control, chunksize: 10485760,
             multipartcopychunksize: 33554432, multipartcopymaxconcurrency: 10, multipartcopythresholdsize: 0,
             rootdirectory: /r, useragent: u, secure: true, skipverify: false, v4auth: true}
          redirect: {disable: true}
        """,
    ),
    "s3 of a server at home, no region": (
        V3,
        """
        storage:
          filesystem: null
          s3:
            {bucket: images, regionendpoint: "http://nas:8333", forcepathstyle: true, usedualstack: false,
             accelerate: false, usefipsendpoint: false, redirectendpoint: "https://nas", loglevel: debug,
             storageclass: STANDARD_IA}
        """,
    ),
    "gcs": (
        BOTH,
        """
        storage:
          filesystem: null
          gcs: {bucket: b, credentials: {type: service_account, private_key: k}, chunksize: 5242880,
                maxconcurrency: 50, rootdirectory: /r}
        """,
    ),
    "azure with a key, 2.x": (
        V2,
        "storage: {filesystem: null, azure: {accountname: a, accountkey: k, container: c, realm: r}}",
    ),
    "azure with a client secret, 3.x": (
        V3,
        """
        storage:
          filesystem: null
          azure:
            {accountname: a, container: c, rootdirectory: /r, serviceurl: "https://a.blob.core.windows.net",
             max_retries: 3, retry_delay: 100ms, skipverify: false,
             credentials: {type: client_secret, clientid: i, tenantid: t, secret: s}}
        """,
    ),
    "oss, 2.x": (
        V2,
        "storage: {filesystem: null, oss: {accesskeyid: i, accesskeysecret: s, region: r, bucket: b}}",
    ),
    "swift, 2.x": (
        V2,
        """
        storage:
          filesystem: null
          swift: {username: u, password: p, authurl: "https://x", container: c, tenant: t, authversion: 3}
        """,
    ),
    "redis cache, 2.x layout": (
        V2,
        """
        storage: {cache: {blobdescriptor: redis}}
        redis:
          {addr: "redis:6379", password: p, db: 1, dialtimeout: 10ms, readtimeout: 10ms, writetimeout: 10ms,
           pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}}
        """,
    ),
    "redis cache, 3.x layout": (
        V3,
        """
        storage: {cache: {blobdescriptor: redis}}
        redis:
          {addrs: ["redis:6379"], username: u, password: p, db: 0, readtimeout: "-1ns", maxidleconns: 4,
           connmaxidletime: 5m, tls: {certificate: /c, key: /k, rootcas: [/ca]}}
        """,
    ),
    "in-memory cache without bound": (V3, "storage: {cache: {blobdescriptorsize: 0}}"),
    "read-only, with purging": (
        BOTH,
        """
        storage:
          maintenance:
            readonly: {enabled: true}
            uploadpurging: {enabled: true, age: 168h, interval: 24h, dryrun: false}
        """,
    ),
    "purging switched off needs no more": (BOTH, "storage: {maintenance: {uploadpurging: {enabled: false}}}"),
    "no auth": (BOTH, "auth: {none: {}}"),
    "silly auth": (BOTH, "auth: {silly: {realm: r, service: s}}"),
    "htpasswd": (BOTH, "auth: {htpasswd: {realm: r, path: /secrets/htpasswd}}"),
    "token with certificates": (
        BOTH,
        "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: /certs.pem, autoredirect: true}}",
    ),
    "token with JWKS": (
        V3,
        """
        auth:
          token:
            {realm: r, service: s, issuer: i, jwks: /jwks.json, autoredirectpath: /login,
             signingalgorithms: [EdDSA, ES256]}
        """,
    ),
    "cloudfront and redirect": (
        BOTH,
        """
        middleware:
          storage:
            - {name: cloudfront, disabled: false,
               options: {baseurl: cdn.example.org, privatekey: /k.pem, keypairid: i, duration: 20m,
                         ipfilteredby: awsregion, awsregion: "eu-west-1, eu-west-2"}}
            - {name: redirect, options: {baseurl: "https://mirror.example.org"}}
        """,
    ),
    "cloudfront's misspelled key, which 2.x reads": (
        V2,
        """
        middleware:
          storage:
            - {name: cloudfront, options: {baseurl: b, privatekey: k, keypairid: i, updatefrenquency: 1h}}
        """,
    ),
    "rewrite": (V3, "middleware: {storage: [{name: rewrite, options: {scheme: https, host: nas:9000}}]}"),
    "middleware of one's own": (BOTH, "middleware: {repository: [{name: mine, options: {anything: 1}}]}"),
    "reporting, 2.x": (
        V2,
        "reporting: {bugsnag: {apikey: k}, newrelic: {licensekey: l, name: n, verbose: true}}",
    ),
    "own name, prefix and secret": (
        BOTH,
        """
        http:
          {host: "https://registry.homelab.local:8443", prefix: /registry/, secret: s, relativeurls: false,
           draintimeout: 1m30s, headers: {X-A: [b, c]}, http2: {disabled: true}}
        """,
    ),
    "ends at once": (BOTH, 'http: {draintimeout: "0"}'),
    "a unix socket": (BOTH, "http: {net: unix, addr: /run/registry.sock}"),
    "an IPv6 address": (BOTH, 'http: {addr: "[::1]:5000"}'),
    "TLS with client certificates": (
        BOTH,
        """
        http:
          tls:
            {certificate: /c.pem, key: /k.pem, clientcas: [/ca.pem], minimumtls: tls1.2,
             ciphersuites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]}
        """,
    ),
    "old TLS on 2.x": (
        V2,
        "http: {tls: {certificate: c, key: k, minimumtls: tls1.0, ciphersuites: [TLS_RSA_WITH_RC4_128_SHA]}}",
    ),
    "Let's Encrypt": (
        BOTH,
        "http: {tls: {letsencrypt: {cachefile: /c, email: e@x, hosts: [r.example.org]}}}",
    ),
    "client certificates by choice, HTTP/2 in clear": (
        V3,
        """
        http:
          tls: {certificate: /c, key: /k, clientcas: [/ca], clientauth: verify-client-cert-if-given}
          h2c: {enabled: true}
        """,
    ),
    "no debug server, no metrics": (BOTH, "http: {debug: null}"),
    "events": (
        BOTH,
        """
        notifications:
          events: {includereferences: true}
          endpoints:
            - {name: hook, url: "https://hook/x", disabled: false, headers: {Authorization: [Bearer t]},
               timeout: 500ms, threshold: 5, backoff: 1s, ignoredmediatypes: [application/octet-stream],
               ignore: {mediatypes: [a/b], actions: [pull]}}
        """,
    ),
    "health checks": (
        BOTH,
        """
        health:
          storagedriver: {enabled: false}
          file: [{file: /tmp/down, interval: 5s}]
          http: [{uri: "http://x/y", headers: {A: [b]}, statuscode: 204, timeout: 3s, threshold: 2}]
          tcp: [{addr: "redis:6379", timeout: 3s, interval: 10s, threshold: 2}]
        """,
    ),
    "a longer catalog": (BOTH, "catalog: {maxentries: 5000}"),
    "a shorter tag list": (V3, "tags: {maxtags: 100}"),
    "a mirror with a login": (
        BOTH,
        'proxy: {remoteurl: "https://registry-1.docker.io", username: u, password: p}',
    ),
    "a mirror with a credential helper": (
        V3,
        'proxy: {remoteurl: "https://ghcr.io", ttl: "0", cachewritetimeout: 5m, exec: {command: c}}',
    ),
    "foreign layers of one host": (
        BOTH,
        r"validation: {manifests: {urls: {allow: ['^https://[^/]+\.example\.org/'], deny: ['\pL$']}}}",
    ),
    "indexes with some of their images": (
        V3,
        "validation: {manifests: {indexes: {platforms: List, platformlist: [{os: a, architecture: b}]}}}",
    ),
    "the default number of repositories in an answer": (BOTH, "catalog: {maxentries: 0}"),
    "no validation": (BOTH, "validation: {enabled: false, disabled: true}"),
    "any class of repository": (BOTH, "policy: {repository: {classes: []}}"),
    "classes of repository": (BOTH, "policy: {repository: {classes: [image, plugin]}}"),
    "schema1 images": (V2, "compatibility: {schema1: {enabled: true, signingkeyfile: /k}}"),
}


EACH = pytest.mark.parametrize(
    ("version", "override"),
    [
        pytest.param(version, text, id=f"{name} ({version}.x)")
        for name, (versions, text) in ACCEPTED.items()
        for version in ([versions] if isinstance(versions, RegistryVersion) else versions)
    ],
)


@EACH
def test_a_config_that_the_registry_heeds_is_accepted(version, override):
    assert check(merge(defaults(version), yaml.safe_load(override)), version) == []


@EACH
def test_every_character_of_it_reaches_the_registry_or_is_refused(version, override):
    base, written = defaults(version), yaml.safe_load(override)
    changes = [lambda text, place=place: put(written, place, text) for place in texts(written)]
    changes += [
        lambda text, place=place: put(written, place, at(written, place) + text) for place in texts(written)
    ]
    changes += [lambda text, place=place: renamed(written, place, text) for place in keys(written)]
    for change in changes:

        def fits(text, change=change):
            return check(merge(base, change(text)), version) == []

        if not fits("words"):
            continue  # a form of its own, as a duration
        text = around("words", SPECIAL)
        if not fits(text):
            text = around("words", [each for each in SPECIAL if fits(around("words", [each]))])
        if fits(text):
            config = merge(base, change(text))
            assert seen_by_the_registry(config) == config


def keys(value, at=()):
    for key, each in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        if isinstance(key, str):
            yield (*at, key)
        yield from keys(each, (*at, key))


def renamed(config, place, key):
    *above, last = place
    section = {name: value for name, value in at(config, above).items() if name != last}
    section |= {key: at(config, place)}
    return put(config, above, section) if above else section


def seen_by_the_registry(config):
    """Render config.yml as consul-template does, with what Vault then has, and read it."""
    secrets = {secret_key(path): value_at(config, path) for path in secret_paths(config)}
    text, actions = of_template(config_template(config, None, "secret/data/registry/config"))

    def looked_up(value):
        if isinstance(value, dict):
            return {key: looked_up(each) for key, each in value.items()}
        if isinstance(value, list):
            return [looked_up(each) for each in value]
        if isinstance(value, str) and (found := re.fullmatch(r"action\d+-action(\d+)-action\d+-", value)):
            key = re.fullmatch(r' index \.Data\.data "([^"]+)" \| toJSON ', actions[int(found[1]) - 1])
            return secrets[key[1]]
        return value

    return looked_up(yaml.safe_load(text))


def test_what_gos_reader_takes_for_the_end_of_a_line_is_escaped():
    text = render({"version": 0.1, "log": {"fields": {"a": "x\x85y", "b\u2028": "\u2029"}}})

    assert not set(text) & set("\x85\u2028\u2029")
