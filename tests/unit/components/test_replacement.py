import copy
import inspect
import json
import re
from types import SimpleNamespace

import pulumi
import pytest
from google.protobuf.json_format import MessageToDict

from components.replacement import MOVED, old_one_first
from devcluster.plugins.command import Command
from devcluster.plugins.consul import Consul
from devcluster.plugins.nomad import Nomad
from devcluster.plugins.vault import Vault

VOLUME = "nomad:index/dynamicHostVolumeRegistration:DynamicHostVolumeRegistration"
# What the published plugins do, as their stand-ins say: they have just the types that the program makes.
TYPES = {
    resource.type_name: resource
    for provider in (Command, Consul, Nomad, Vault)
    for resource in provider(engine=None).resources({"address": "http://127.0.0.1:1", "token": "t"})
}

MIRROR = {
    "name": "hub",
    "upstream": "https://registry-1.docker.io",
    "port": 5010,
    "username": "a",
    "password": "b",
}
HOST = {"address": "192.168.1.5", "user": "root", "privateKey": "key", "hostKey": "ssh-ed25519 AAAA"}
PASSWORDS = {
    "registry": {},
    "storage": {},
    "vault": {"workload": {"createBackend": True}},
    "tls": {"mode": "registry", "authority": {}},
    "access": {"trustedHosts": [HOST]},
    "maintenance": {
        "garbageCollection": {},
        "backup": {},
        "scan": {},
        "retention": {"rules": [{"repositories": ["a"], "keepTags": ["1"]}]},
    },
    "mirrors": [{**MIRROR, "maxSize": "1GiB"}],
    "monitoring": {"directory": "/srv/monitoring"},
}
TOKENS = {
    **PASSWORDS,
    "vault": {"identity": "policies", "workload": {}},
    "auth": {
        "mode": "vault",
        "grants": {"ci": {"repositories": {"ci/app": ["pull"]}}},
        "nodes": {"grant": "ci"},
        "oidc": {
            "discoveryUrl": "https://id.homelab.local",
            "clientId": "vault",
            "clientSecret": "s",
            "groups": {"developers": ["ci"]},
        },
    },
}
# Each setting that gives a name, a mount or a path, and another value of it.
NAMING = {
    "registry.name": "images",
    "registry.namespace": "infrastructure",
    "registry.hostname": "images.homelab.local",
    "storage.volume": "images",
    "storage.path": "/srv/images",
    "storage.class": "none",
    "storage.cachePath": "/srv/cache",
    "vault.mount": "kv",
    "vault.workload.backend": "jwt-other",
    "tls.authority.mount": "pki-other",
    "monitoring.directory": "/srv/other",
    "mirrors.0.name": "docker",
    "access.trustedHosts.0.address": "192.168.1.6",
}


def options(kind, **given):
    args = pulumi.ResourceTransformationArgs(
        resource=SimpleNamespace(), type_=kind, name="web", props={}, opts=pulumi.ResourceOptions(**given)
    )
    found = old_one_first(args)
    return found and found.opts


def place(resource):
    """The inputs that name the object at its server, or say where it is."""
    named = set(re.findall(r"\{(\w+)\}", getattr(resource, "id_form", "")))
    return (named | {"mount", "path", "backend"} | ({"name"} if resource.autonamed else set())) & {
        *resource.inputs
    }


@pytest.mark.parametrize("kind", sorted({*TYPES} - {VOLUME}))
def test_the_old_one_goes_before_the_new_one_so_that_replacing_one_leaves_it_there(kind):
    assert options(kind).delete_before_replace


def test_a_volume_stays_until_the_job_has_the_new_one():
    assert options(VOLUME) is None


def test_components_and_the_stack_have_no_order_of_their_own():
    assert options("homelab:registry:RegistryJob") is None
    assert options("pulumi:pulumi:Stack") is None


def test_options_that_a_component_gives_stay():
    kept = options("command:local:Command", additional_secret_outputs=["stdout"], ignore_changes=["create"])

    assert (kept.additional_secret_outputs, kept.ignore_changes) == (["stdout"], ["create"])


# A group is known by an id, and a volume by its node: both may have another name.
@pytest.mark.parametrize("kind", sorted({*TYPES} - {VOLUME, "vault:identity/group:Group"}))
def test_another_name_or_place_makes_another_object_and_moves_none(kind):
    resource = TYPES[kind]
    names = {each.field: name for name, each in resource.inputs.items()}
    replaced = resource.replacing | {names[field] for field in options(kind).replace_on_changes}

    assert place(resource) <= replaced


def test_what_is_moved_is_an_input_by_the_name_that_the_sdk_knows():
    for kind, fields in MOVED.items():
        assert {*fields} <= {*inspect.signature(TYPES[kind].args).parameters}


def changed(sections, path, value):
    copied = copy.deepcopy(sections)
    *steps, last = path.split(".")
    inner = copied
    for step in steps:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    inner[last] = value
    return copied


def identity(request):
    """What makes the object this one and no other at its server."""
    inputs, resource = MessageToDict(request.object), TYPES[request.type]
    found = {key: inputs.get(key) for key in place(resource)}
    if "jobspec" in inputs:
        job = json.loads(inputs["jobspec"])
        return {"ID": job["ID"], "Namespace": job["Namespace"]}
    return found


@pytest.mark.parametrize("path", NAMING)
def test_an_object_that_a_setting_gives_another_name_or_place_is_made_anew_after_the_old_one_went(
    whole_program, path
):
    moved = 0
    for stack in (PASSWORDS, TOKENS) if path == "registry.name" else (PASSWORDS,):  # each run takes a while
        before, after = whole_program(stack), whole_program(changed(stack, path, NAMING[path]))
        for key in before.keys() & after.keys():
            old, new = identity(before[key]), identity(after[key])
            differing = {name for name in old if old[name] != new[name]}
            replaced = TYPES[key[0]].replacing | {*after[key].replaceOnChanges} | {"ID", "Namespace"}
            if key[0] == "vault:identity/group:Group":  # Vault knows it by an id
                continue
            assert differing <= replaced, key
            assert not differing or after[key].deleteBeforeReplace, key
            moved += bool(differing)
    if path in ("registry.name", "vault.mount", "vault.workload.backend", "tls.authority.mount"):
        assert moved, "the setting names nothing any more: take it out of this list"
