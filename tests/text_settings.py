"""Stacks that have every setting that is a text, and where in them those are."""

import copy
import json
import re

from config.settings import SECTIONS

# Of every format that a text may end in: HCL and Nomad's own ${}, JSON, YAML, Go's templates, htpasswd, sh,
# Traefik's rules, Consul's tags, PromQL, HTML, terminals; and words that stand for look-ups inside ours.
SPECIAL = (
    *("$", '"', "'", "\\", "`", "${", "%{", "$(", "#", ": ", " #", "- ", "{{", "}}", "{", "}", "[", "]", ","),
    *("=", "&", "|", ";", "<", ">", "*", "?", "!", "~", "@", "%", "(", ")", "\n", "\r", "\t", " ", "\x00"),
    *(
        "\x1b",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "😀",
        "${env.PATH}",
        "{{ end }}",
        "{{- ",
        "\nEND\n",
        "`)||Host(`",
    ),
    *("vault-lookup-0-", "lookup-0-", "freeze-mode-", "</script>", "*/", "%s", "%0a", "\\n", "null", "0x1f"),
)
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICozIMZfcJdjcnLknmkKsb2CCTzMO9ggz8HL5l+RXTJ7"
HASH = "$2b$04$IwVER9jwYJQrOYD6ZL3Nxu15wMr4hQtSISTquDOlVSzaPEShWR5BO"
PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
KEYS = json.dumps({"keys": [{"kty": "EC", "kid": "a"}]})
HOST = {"address": "nas.lan", "user": "admin", "hostKey": HOST_KEY, "privateKey": "a-key"}
HOOK = {"name": "hook", "url": "https://hook.lan/path", "headers": {"X-Token": ["token"]}, "timeout": "1s"}
BUCKET = {
    "endpoint": "https://s3.lan",
    "bucket": "backups",
    "prefix": "below",
    "region": "eu-1",
    "accessKey": "access",
    "secretKey": "secret",
}
SAMPLES = {
    "passwords": {
        "registry": {
            "name": "images",
            "hostname": "registry.lan",
            "image": "lan/registry:3",
            "scriptImage": "lan/python:3",
            "datacenters": ["dc1"],
            "namespace": "default",
            "homepage": {"name": "Images", "icon": "a.png", "group": "Ops", "description": "All images"},
            "config": {
                "log": {"level": "warn", "fields": {"team": "ours"}},
                "notifications": {"endpoints": [HOOK]},
            },
        },
        "storage": {
            "volume": "data",
            "root": "/volume1",
            "path": "/volume1/data",
            "owner": {"mode": "0750"},
            "host": HOST,
            "cacheVolume": "cache",
            "cachePath": "/volume1/cache",
        },
        "vault": {
            "mount": "kv",
            "workload": {
                "backend": "jwt",
                "createBackend": True,
                "jwksUrl": "https://nomad.lan/keys",
                "audience": "vault.lan",
            },
        },
        "tls": {"entryPoint": "secure", "certResolver": "le"},
        "auth": {"users": {"alice": HASH}},
        "access": {"allowedCidrs": ["10.0.0.0/8"], "bind": "127.0.0.1", "allowedServices": ["traefik"]},
        "maintenance": {
            "timeZone": "Europe/Berlin",
            "garbageCollection": {"schedule": "17 4 * * 0"},
            "retention": {
                "rules": [{"repositories": ["ci/*"], "keepTags": ["v*"], "keepYoungerThan": "30d"}]
            },
            "backup": {
                "schedule": "17 2 * * *",
                "image": "lan/restic:0",
                "volume": "backup",
                "drill": "17 3 1 * *",
            },
            "scan": {"schedule": "17 5 * * *", "image": "lan/trivy:1"},
            "mirrors": {"schedule": "47 * * * *"},
        },
        "mirrors": [
            {
                "name": "quay",
                "upstream": "https://quay.io",
                "hostname": "quay.lan",
                "port": 5010,
                "ttl": "24h",
                "username": "robot",
                "password": "secret",
                "maxSize": "1GiB",
            }
        ],
        "monitoring": {"consulTokenFile": "/etc/prometheus/token", "directory": "/srv/monitoring"},
    },
    "Vault's tokens": {
        "tls": {"mode": "registry", "authority": {"mount": "pki", "ttl": "720h"}},
        "auth": {
            "mode": "vault",
            "grants": {"ci": {"repositories": {"ci/app": ["pull"]}, "ttl": "15m"}},
            "issuer": "https://vault.lan",
            "oidc": {
                "discoveryUrl": "https://id.lan",
                "clientId": "client",
                "clientSecret": "secret",
                "groups": {"developers": ["ci"]},
                "discoveryCa": PEM,
            },
            "nodes": {"grant": "ci", "volume": "auth"},
        },
        "access": {"trustedHosts": [HOST]},
        "maintenance": {"backup": {"s3": BUCKET}},
    },
    "another authority": {"tls": {"mode": "registry", "authority": {"mount": "pki", "role": "web"}}},
    "another token server": {
        "auth": {
            "mode": "external",
            "external": {
                "realm": "https://tokens.lan/token",
                "service": "images",
                "issuer": "tokens",
                "jwks": KEYS,
            },
        }
    },
    "its certificates": {
        "auth": {
            "mode": "external",
            "external": {
                "realm": "https://tokens.lan/token",
                "service": "images",
                "issuer": "tokens",
                "rootCertBundle": PEM,
            },
        }
    },
    "several instances": {
        "registry": {
            "count": 2,
            "shutdownDelay": "20s",
            "redis": {"address": "redis.lan:6379", "password": "secret"},
        },
        "storage": {"driver": "s3", "s3": {**BUCKET, "endpoint": "https://s3.lan:8333"}},
        "maintenance": {"garbageCollection": {}},
    },
    "a dynamic volume": {"storage": {"kind": "dynamic", "nodeId": "0a1b2c3d-1111-2222-3333-444455556666"}},
}


def texts(value, at=()):
    """The place of each text in plain data, and of each key of a mapping that is not a setting's name."""
    if isinstance(value, str):
        yield at
    for key, each in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from texts(each, (*at, key))


def put(sections, place, value):
    """The same with another value at a place."""
    changed = copy.deepcopy(sections)
    here = changed
    for step in place[:-1]:
        here = here[step]
    here[place[-1]] = value
    return changed


def at(sections, place):
    for step in place:
        sections = sections[step]
    return sections


def kinds(place):
    """A place without what people choose in it: the numbers of lists."""
    return tuple("*" if isinstance(step, int) else step for step in place)


def text_settings():
    """The place of each setting whose value is a free text, out of the models; `*` is any key or number."""
    for name, model in SECTIONS.items():
        schema = model.model_json_schema()
        yield from _texts_of(schema, schema.get("$defs", {}), (name,))


def _texts_of(node, definitions, place):
    if "$ref" in node:
        yield from _texts_of(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions, place)
        return
    for choice in node.get("anyOf", ()):
        yield from _texts_of(choice, definitions, place)
    if place[-1] == "secure":
        return
    if node.get("type") == "string" and "enum" not in node and "const" not in node:
        yield place
    for key, below in node.get("properties", {}).items():
        yield from _texts_of(below, definitions, (*place, key))
    for below in (node.get("items"), node.get("additionalProperties")):
        if isinstance(below, dict):
            yield from _texts_of(below, definitions, (*place, "*"))


def around(text, characters):
    """Put characters on both sides."""
    return "".join([*reversed(characters), text, *characters])


def of_template(text):
    """Read a template as Go does: its text, with each look-up as a word, and the look-ups."""
    actions, parts = [], []
    for index, part in enumerate(re.split(r"\{\{(.*?)\}\}", text, flags=re.DOTALL)):
        if index % 2 == 0:
            parts.append(part)
        elif part == '"{{"':
            parts.append("{{")
        else:
            actions.append(part)
            parts.append(f"action{len(actions)}-")
    return "".join(parts), actions
