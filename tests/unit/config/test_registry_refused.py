"""Configs that the registry would die on, misread or pass over are refused, with what to do instead."""

import pytest
import yaml

from config.registry import RegistryVersion, check, defaults, dotted, merge

V2, V3 = RegistryVersion.V2, RegistryVersion.V3
BOTH = (V2, V3)
NEEDS_3 = "needs distribution 3.x"
DURATION = "must be a duration with a unit"
ENDPOINT = "notifications.endpoints.0"
S3 = "storage: {filesystem: null, s3: {bucket: b, region: eu-west-1, %s}}"
TOKEN = "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: /r, %s}}"
CLOUDFRONT = (
    "middleware: {storage: [{name: cloudfront, options: {baseurl: b, privatekey: /k, keypairid: i, %s}}]}"
)

# versions, config laid over the defaults, path of the problem, part of its message
REFUSED = [
    # keys
    (BOTH, "storge: {}", "storge", "did you mean storage?"),
    (BOTH, "log: {levle: info}", "log.levle", "did you mean level?"),
    (
        BOTH,
        "http: {debug: {prometheus: {enable: true}}}",
        "http.debug.prometheus.enable",
        "did you mean enabled?",
    ),
    (BOTH, "http: {headers: null, zzz: 1}", "http.zzz", "unknown key, remove it; there are addr, net"),
    (
        BOTH,
        "health: {http: [{uri: 'http://x', timout: 1s}]}",
        "health.http.0.timout",
        "did you mean timeout?",
    ),
    (
        BOTH,
        "storage: {filesystem: {rootDirectory: /x}}",
        "storage.filesystem.rootDirectory",
        "rootdirectory?",
    ),
    (BOTH, "storage: {filesystem: null, inmemory: {size: 1}}", "storage.inmemory.size", "unknown key"),
    (BOTH, "health: {file: [{file: /x, threshold: 2}]}", "health.file.0.threshold", "unknown key"),
    (V3, "redis: {addrs: ['r:1'], tls: {enabled: true}}", "redis.tls.enabled", "unknown key"),
    # types
    (BOTH, "version: 0.2", "version", "must be 0.1"),
    (BOTH, "version: null", "version", "is required here"),
    (BOTH, "storage: null", "storage", "is required here"),
    (
        BOTH,
        "storage: {delete: {enabled: 'yes'}}",
        "storage.delete.enabled",
        "must be true or false, without quotes",
    ),
    (BOTH, "storage: {delete: true}", "storage.delete", "must be a mapping"),
    (BOTH, "storage: {filesystem: {maxthreads: '50'}}", "storage.filesystem.maxthreads", "whole number"),
    (BOTH, "storage: {filesystem: {maxthreads: 3}}", "storage.filesystem.maxthreads", "must be 25 or more"),
    (BOTH, "http: {secret: 12345}", "http.secret", "must be text: put it in quotes"),
    (BOTH, "http: {secret: ''}", "http.secret", "is empty"),
    (BOTH, "http: {headers: {X-A: b}}", "http.headers.X-A", "must be a list"),
    (BOTH, "log: {hooks: [{type: mail, levels: null}]}", "log.hooks.0.levels", "is empty"),
    (BOTH, "log: loud", "log", "must be a mapping"),
    # 3.x only, on 2.x
    (V2, "http: {h2c: {enabled: true}}", "http.h2c", NEEDS_3),
    (V2, "log: {reportcaller: true}", "log.reportcaller", NEEDS_3),
    (V2, "storage: {tag: {concurrencylimit: 8}}", "storage.tag", NEEDS_3),
    (V2, "tags: {maxtags: 5}", "tags", NEEDS_3),
    (
        V2,
        "http: {tls: {certificate: c, key: k, clientcas: [a], clientauth: request-client-cert}}",
        "http.tls.clientauth",
        NEEDS_3,
    ),
    (
        V2,
        "http: {tls: {letsencrypt: {cachefile: c, directoryurl: 'https://x'}}}",
        "http.tls.letsencrypt.directoryurl",
        NEEDS_3,
    ),
    (V2, TOKEN % "jwks: /j", "auth.token.jwks", NEEDS_3),
    (V2, TOKEN % "signingalgorithms: [ES256]", "auth.token.signingalgorithms", NEEDS_3),
    (V2, TOKEN % "autoredirectpath: /x", "auth.token.autoredirectpath", NEEDS_3),
    (V2, S3 % "forcepathstyle: true", "storage.s3.forcepathstyle", NEEDS_3),
    (V2, S3 % "storageclass: glacier_ir", "storage.s3.storageclass", "not known to distribution 2.x"),
    (V2, "proxy: {remoteurl: 'https://x', ttl: 1h}", "proxy.ttl", NEEDS_3),
    (V2, "proxy: {remoteurl: 'https://x', exec: {command: c}}", "proxy.exec", NEEDS_3),
    (V2, "validation: {manifests: {indexes: {platforms: all}}}", "validation.manifests.indexes", NEEDS_3),
    (V2, "storage: {cache: {blobdescriptorsize: 5}}", "storage.cache.blobdescriptorsize", NEEDS_3),
    (V2, "redis: {addr: 'r:1', addrs: ['r:1']}", "redis.addrs", NEEDS_3),
    (V2, "redis: {addr: 'r:1', tls: {}}", "redis.tls", NEEDS_3),
    (
        V2,
        "middleware: {storage: [{name: rewrite}]}",
        "middleware.storage.0.name",
        "not known to distribution 2.x",
    ),
    (V2, CLOUDFRONT % "updatefrequency: 1h", "middleware.storage.0.options.updatefrequency", NEEDS_3),
    # 2.x only, on 3.x
    (V3, "reporting: {newrelic: {licensekey: x}}", "reporting", "removed in 3.0: use OpenTelemetry"),
    (V3, "compatibility: {schema1: {enabled: true}}", "compatibility", "removed in 3.0: schema1 images"),
    (
        V3,
        "storage: {filesystem: null, oss: {}}",
        "storage.oss",
        "removed in 3.0: keep the images with filesystem",
    ),
    (V3, "storage: {filesystem: null, swift: {}}", "storage.swift", "removed in 3.0"),
    (V3, "redis: {addr: 'r:1'}", "redis.addr", "removed in 3.0: it is the 2.x layout, use addrs"),
    (V3, "redis: {addrs: ['r:1'], pool: {}}", "redis.pool", "use maxidleconns"),
    (
        V3,
        CLOUDFRONT % "updatefrenquency: 1h",
        "middleware.storage.0.options.updatefrenquency",
        "updatefrequency",
    ),
    (
        V3,
        "http: {tls: {certificate: c, key: k, minimumtls: tls1.0}}",
        "http.tls.minimumtls",
        "one of tls1.2, tls1.3",
    ),
    (
        V3,
        "http: {tls: {certificate: c, key: k, ciphersuites: [TLS_RSA_WITH_RC4_128_SHA]}}",
        "http.tls.ciphersuites.0",
        "not known to distribution 3.x",
    ),
    # values
    (BOTH, "http: {draintimeout: 20}", "http.draintimeout", DURATION),
    (BOTH, "http: {draintimeout: '20'}", "http.draintimeout", DURATION),
    (BOTH, "http: {draintimeout: 20 s}", "http.draintimeout", DURATION),
    (BOTH, "http: {draintimeout: -5s}", "http.draintimeout", "must not be negative"),
    (
        BOTH,
        "health: {storagedriver: {enabled: true, interval: 10}}",
        "health.storagedriver.interval",
        DURATION,
    ),
    (BOTH, "health: {storagedriver: {threshold: -1}}", "health.storagedriver.threshold", "must be 0 or more"),
    (BOTH, "health: {tcp: [{addr: 'redis'}]}", "health.tcp.0.addr", "must be HOST:PORT"),
    (BOTH, "health: {http: [{}]}", "health.http.0.uri", "is required here"),
    (BOTH, "log: {level: warning}", "log.level", "did you mean warn?"),
    (BOTH, "log: {formatter: JSON}", "log.formatter", "must be one of text, json, logstash"),
    (BOTH, "loglevel: debug", "loglevel", "set that instead"),
    (BOTH, "http: {host: registry.example.org}", "http.host", "must be a URL"),
    (BOTH, "http: {prefix: registry/}", "http.prefix", "must begin and end with a slash"),
    (BOTH, "http: {addr: '5000'}", "http.addr", "must be HOST:PORT or :PORT"),
    (BOTH, "http: {addr: ':70000'}", "http.addr", "from 1 to 65535"),
    (BOTH, "http: {net: unix}", "http.addr", "absolute path"),
    (BOTH, "http: {net: udp}", "http.net", "must be one of tcp, unix"),
    (
        BOTH,
        "http: {tls: {certificate: c, key: k, minimumtls: tls1.4}}",
        "http.tls.minimumtls",
        "must be one of",
    ),
    (BOTH, "catalog: {maxentries: -1}", "catalog.maxentries", "must be 0 or more"),
    (V3, "tags: {maxtags: -1}", "tags.maxtags", "must be 0 or more"),
    (V3, "storage: {tag: {concurrencylimit: -1}}", "storage.tag.concurrencylimit", "must be 0 or more"),
    (BOTH, "validation: {manifests: {urls: {allow: ['[']}}}", "validation.manifests.urls.allow.0", "RE2"),
    (
        BOTH,
        "validation: {manifests: {urls: {deny: ['(?!x)']}}}",
        "validation.manifests.urls.deny.0",
        "lookahead",
    ),
    (
        BOTH,
        "storage: {cache: {blobdescriptor: memory}}",
        "storage.cache.blobdescriptor",
        "did you mean inmemory?",
    ),
    (BOTH, S3 % "chunksize: 1000", "storage.s3.chunksize", "must be 5242880 or more"),
    (BOTH, S3 % "objectacl: everyone", "storage.s3.objectacl", "must be one of private"),
    (V3, TOKEN % "signingalgorithms: [none]", "auth.token.signingalgorithms.0", "must be one of EdDSA"),
    # rules between keys
    (BOTH, "storage: {cache: {layerinfo: redis}}", "storage.cache.layerinfo", "is the old name"),
    (
        V3,
        "{storage: {cache: {blobdescriptor: redis, blobdescriptorsize: 5}}, redis: {addrs: ['r:1']}}",
        "storage.cache.blobdescriptorsize",
        "is for inmemory, and passed over with redis",
    ),
    (
        BOTH,
        "{storage: {redirect: {disable: true}}, "
        "middleware: {storage: [{name: redirect, options: {baseurl: 'https://x'}}]}}",
        "middleware.storage.0",
        "storage.redirect.disable is true",
    ),
    (
        BOTH,
        "health: {file: [{file: /x}, {file: /x}]}",
        "health.file.1.file",
        "is health.file.0 already, and the registry panics",
    ),
    (
        BOTH,
        "health: {http: [{uri: 'http://x/'}, {uri: 'http://y/'}, {uri: 'http://x/'}]}",
        "health.http.2.uri",
        "is health.http.0 already",
    ),
    (BOTH, "health: {tcp: [{addr: 'x:1'}, {addr: 'x:1'}]}", "health.tcp.1.addr", "is health.tcp.0 already"),
    (
        BOTH,
        "health: {storagedriver: {enabled: true, interval: 10ms}}",
        "health.storagedriver.interval",
        "must be 1s or longer",
    ),
    (BOTH, "health: {http: [{uri: 'http://x', interval: 1ns}]}", "health.http.0.interval", "1s or longer"),
    (BOTH, "policy: {repository: {classes: [plugin]}}", "policy.repository.classes", "must have image"),
    (BOTH, "validation: {enabled: false}", "validation.enabled", "set validation.disabled to true"),
    (BOTH, "validation: {enabled: true, disabled: true}", "validation.disabled", "beside enabled: true"),
    (
        BOTH,
        "validation: {disabled: true, manifests: {urls: {allow: [x]}}}",
        "validation.manifests",
        "is passed over with disabled: true",
    ),
    (
        BOTH,
        "storage: {maintenance: {uploadpurging: {age: 10m, interval: 1h, dryrun: false}}}",
        "storage.maintenance.uploadpurging.age",
        "must be 1h or longer",
    ),
    (BOTH, "catalog: {maxentries: 1000000000}", "catalog.maxentries", "must be 100000 or less"),
    (BOTH, "storage: {inmemory: {}}", "storage", "exactly one driver"),
    (BOTH, "storage: {filesystem: null}", "storage", "exactly one driver"),
    (BOTH, "storage: {redirect: {}}", "storage.redirect.disable", "is required here"),
    (BOTH, "storage: {maintenance: {readonly: true}}", "storage.maintenance.readonly", "must be a mapping"),
    (
        BOTH,
        "storage: {maintenance: {readonly: {}}}",
        "storage.maintenance.readonly.enabled",
        "is required here",
    ),
    (
        BOTH,
        "storage: {maintenance: {uploadpurging: {age: 1h, interval: 1h}}}",
        "storage.maintenance.uploadpurging.dryrun",
        "is required here",
    ),
    (
        BOTH,
        "storage: {maintenance: {uploadpurging: {age: 1h, interval: 0s, dryrun: true}}}",
        "storage.maintenance.uploadpurging.interval",
        "must be longer than 0",
    ),
    (V2, "storage: {cache: {blobdescriptor: redis}}", "storage.cache.blobdescriptor", "needs redis.addr:"),
    (V3, "storage: {cache: {blobdescriptor: redis}}", "storage.cache.blobdescriptor", "needs redis.addrs:"),
    (BOTH, "storage: {filesystem: null, s3: {bucket: b}}", "storage.s3.region", "is required here"),
    (BOTH, "storage: {filesystem: null, s3: {region: r}}", "storage.s3.bucket", "is required here"),
    (
        V2,
        "storage: {filesystem: null, s3: {bucket: b, regionendpoint: nas}}",
        "storage.s3.region",
        "any name will do",
    ),
    (
        V2,
        "storage: {filesystem: null, azure: {accountname: a, container: c}}",
        "storage.azure.accountkey",
        "is required",
    ),
    (
        V3,
        "storage: {filesystem: null, azure: {accountname: a, container: c}}",
        "storage.azure.credentials",
        "required",
    ),
    (
        V3,
        "storage: {azure: {accountname: a, container: c, credentials: {type: client_secret}}}",
        "storage.azure.credentials.tenantid",
        "is required for type client_secret",
    ),
    (BOTH, "auth: {}", "auth", "must have exactly one of none, silly, htpasswd, token"),
    (
        BOTH,
        "auth: {silly: {realm: r, service: s}, htpasswd: {realm: r, path: /p}}",
        "auth",
        "must have exactly one of",
    ),
    (BOTH, "auth: {htpasswd: {realm: r}}", "auth.htpasswd.path", "is required here"),
    (BOTH, "auth: {oidc: {}}", "auth.oidc", "unknown key"),
    (V2, "auth: {token: {realm: r, service: s, issuer: i}}", "auth.token.rootcertbundle", "is required here"),
    (V3, "auth: {token: {realm: r, service: s, issuer: i}}", "auth.token", "needs rootcertbundle or jwks"),
    (BOTH, "http: {tls: {certificate: c}}", "http.tls.key", "is required beside certificate"),
    (BOTH, "http: {tls: {minimumtls: tls1.2}}", "http.tls", "without them the registry serves no TLS"),
    (
        BOTH,
        "http: {tls: {certificate: c, key: k, letsencrypt: {cachefile: f, hosts: [h]}}}",
        "http.tls.letsencrypt",
        "keep one of them",
    ),
    (V3, "http: {tls: {letsencrypt: {cachefile: f}}}", "http.tls.letsencrypt.hosts", "is required in 3.x"),
    (
        V3,
        "http: {tls: {certificate: c, key: k, clientauth: request-client-cert}}",
        "http.tls.clientauth",
        "clientcas",
    ),
    (
        V3,
        "http: {tls: {certificate: c, key: k, minimumtls: tls1.3, ciphersuites: [TLS_AES_128_GCM_SHA256]}}",
        "http.tls.ciphersuites",
        "passed over with tls1.3",
    ),
    (BOTH, "http: {debug: {addr: null}}", "http.debug.prometheus.enabled", 'needs http.debug.addr: ":5001"'),
    (BOTH, "proxy: {username: u}", "proxy.remoteurl", "is required here"),
    (
        V3,
        "proxy: {remoteurl: 'https://x', username: u, exec: {command: c}}",
        "proxy.username",
        "keep one of them",
    ),
    (BOTH, "notifications: {endpoints: [{name: n}]}", f"{ENDPOINT}.url", "is required here"),
    (
        BOTH,
        "notifications: {endpoints: [{name: n, url: 'https://x', ignore: {actions: [pul]}}]}",
        f"{ENDPOINT}.ignore.actions.0",
        "did you mean pull?",
    ),
    (
        BOTH,
        "middleware: {storage: [{name: cloudfrnt}]}",
        "middleware.storage.0.name",
        "did you mean cloudfront?",
    ),
    (
        BOTH,
        "middleware: {storage: [{name: redirect}]}",
        "middleware.storage.0.options.baseurl",
        "is required here",
    ),
    (BOTH, CLOUDFRONT % "ipfilteredby: awsregion", "middleware.storage.0.options.awsregion", "is required"),
    (BOTH, CLOUDFRONT % "durration: 1h", "middleware.storage.0.options.durration", "did you mean duration?"),
    (
        BOTH,
        "middleware: {storage: [{name: redirect, disabled: true, options: {baseurl: 'https://x'}}]}",
        "middleware.storage.0.disabled",
        "remove the entry instead",
    ),
    (
        V3,
        "validation: {manifests: {indexes: {platforms: list}}}",
        "validation.manifests.indexes.platformlist",
        "required",
    ),
    (
        V3,
        "validation: {manifests: {indexes: {platforms: all, platformlist: [{os: a, architecture: b}]}}}",
        "validation.manifests.indexes.platforms",
        "must be list",
    ),
]


@pytest.mark.parametrize(
    ("version", "override", "path", "message"),
    [
        pytest.param(version, override, path, message, id=f"{path} {message} ({version}.x)")
        for versions, override, path, message in REFUSED
        for version in ([versions] if isinstance(versions, RegistryVersion) else versions)
    ],
)
def test_a_config_that_the_registry_would_not_heed_is_refused_with_what_to_do(
    version, override, path, message
):
    found = check(merge(defaults(version), yaml.safe_load(override)), version)

    assert [each.message for each in found if dotted(each.path) == path and message in each.message], found


def test_all_problems_are_reported_at_once_with_their_values():
    override = """
      http: {draintimeout: 5, tls: {minimumtls: tls1.0}}
      storage: {inmemory: {}, delet: {enabled: true}}
      reporting: {}
    """

    found = check(merge(defaults(V3), yaml.safe_load(override)), V3)

    assert [(dotted(each.path), each.value) for each in found] == [
        ("http.draintimeout", 5),
        ("http.tls", {"minimumtls": "tls1.0"}),
        ("http.tls.minimumtls", "tls1.0"),
        ("reporting", {}),
        ("storage", ["filesystem", "inmemory"]),
        ("storage.delet", "…"),
    ]


@pytest.mark.parametrize(
    "override",
    [
        "http: {secret: [hunter2]}",
        "http: {secert: hunter2}",
        "redis: hunter2",
        "redis: {addr: 'r:1', addrs: ['user:hunter2@r:x'], password: [hunter2]}",
        "proxy: {remoteurl: 'ftp://u:hunter2@x', password: {a: hunter2}}",
        "notifications: {endpoints: [{name: n, url: 'http://u:hunter2@x', headers: {Cookie: hunter2}}]}",
        "storage: {s3: {secretkey: {a: hunter2}}, azure: {accountkey: [hunter2]}, gcs: {keyflie: hunter2}}",
        "storage: {swift: {password: hunter2}, oss: {accesskeysecret: hunter2}, s3: hunter2}",
        "reporting: {bugsnag: {apikey: [hunter2]}, newrelic: {licensekey: {a: hunter2}}}",
        "log: {hooks: [{type: mail, options: {smtp: {password: [hunter2]}}}]}",
    ],
)
@pytest.mark.parametrize("version", BOTH)
def test_no_problem_repeats_a_secret(version, override):
    found = check(merge(defaults(version), yaml.safe_load(override)), version)

    assert found
    assert "hunter2" not in repr(found)
