"""What the vault plugin sends and makes of the answers, without a server."""

import asyncio

import pytest

from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call
from devcluster.plugins.vault_approle import AppRole
from devcluster.plugins.vault_identity import Group, OidcKey
from devcluster.plugins.vault_kv import SecretV2
from devcluster.plugins.vault_mount import Mount
from devcluster.plugins.vault_pki import PkiRole, RootCert

CALL = Call("urn", 0.0, print)
ROOT = {"backend": "pki", "type": "internal", "commonName": "CA"}
MADE = dict.fromkeys(("certificate", "issuing_ca", "serial_number", "issuer_id", "key_id"), "x")


class Server:
    """Answers by method and path, and keeps the bodies that it was sent."""

    def __init__(self, answers):
        self.answers = answers
        self.bodies = {}

    async def call(self, method, path, *, body=None):
        self.bodies[f"{method} {path}"] = body
        answer = self.answers.get(f"{method} {path}", {})
        if isinstance(answer, Exception):
            raise answer
        return answer


def changed(kind, old, new, answers=()):
    changes = asyncio.run(kind(Server(dict(answers))).changes(old, new))
    return {change.path: change.replaces for change in changes}


def test_what_the_server_fills_in_is_a_change_only_if_the_program_writes_something_else():
    old = {"backend": "pki", "name": "web", "ttl": "3600", "issuerRef": "default"}
    new = {"backend": "pki", "name": "web"}
    assert changed(PkiRole, old, new) == {}
    assert changed(PkiRole, old, {**new, "ttl": "7200"}) == {"ttl": False}


def test_a_computed_field_that_the_program_no_longer_writes_stays_as_it_is():
    server = Server({"GET /v1/identity/oidc/key/web": {"data": {"allowed_client_ids": ["a"]}}})
    old = {"allowedClientIds": ["a"], "rotationPeriod": 60}
    stored = asyncio.run(OidcKey(server).update("web", old, {"name": "web"}, CALL))
    assert server.bodies["POST /v1/identity/oidc/key/web"] == {"rotation_period": 0}
    assert stored["allowedClientIds"] == ["a"]


def test_a_root_is_sent_with_lists_as_text_but_for_its_key_usages():
    request = "POST /v1/pki/issuers/generate/root/internal"
    server = Server({request: {"data": MADE}})
    inputs = {**ROOT, "altNames": ["a.test", "b.test"], "keyUsages": ["CertSign", "CRLSign"]}
    resource_id, outputs = asyncio.run(RootCert(server).create(inputs, CALL))
    assert server.bodies[request] == {
        "common_name": "CA",
        "alt_names": "a.test,b.test",
        "key_usage": ["CertSign", "CRLSign"],
    }
    assert (resource_id, set(outputs)) == ("pki/issuer/x", set(RootCert.outputs))


def test_a_root_is_no_change_while_its_issuer_is_there():
    old = {**ROOT, "issuerId": "1"}
    gone = PluginError("Vault: 500: unable to find PKI issuer for reference: 1")
    assert changed(RootCert, old, ROOT) == {}
    assert changed(RootCert, old, ROOT, {"GET /v1/pki/issuer/1/pem": gone}) == {"issuerId": True}


def test_a_root_whose_issuer_cannot_be_asked_for_is_an_error():
    refused = {"GET /v1/pki/issuer/1/pem": PluginError("Vault: 403: permission denied")}
    with pytest.raises(PluginError, match="permission denied"):
        changed(RootCert, {**ROOT, "issuerId": "1"}, ROOT, refused)


def test_import_of_a_root_is_refused_with_what_to_do():
    with pytest.raises(PluginError, match="cannot be imported: make a new one"):
        asyncio.run(RootCert(Server({})).read("pki/issuer/1", {}))


def test_a_mount_that_is_not_there_is_gone_and_another_refusal_is_an_error():
    path = "GET /v1/sys/mounts/pki"
    gone = Server({path: PluginError("Vault: 400: No secret engine mount at pki/")})
    refused = Server({path: PluginError("Vault: 403: permission denied")})
    assert asyncio.run(Mount(gone).read("pki", {})) is None
    with pytest.raises(PluginError, match="permission denied"):
        asyncio.run(Mount(refused).read("pki", {}))


METADATA = {
    "max_versions": 5,
    "cas_required": False,
    "delete_version_after": "1h30m0s",
    "custom_metadata": None,
}
SECRET = {"mount": "secret", "name": "web", "dataJson": '{"word": "new"}'}


def test_a_secret_is_read_without_its_contents_and_is_gone_only_with_its_metadata():
    old = {**SECRET, "data": {"word": "new"}}
    deleted = Server({"GET /v1/secret/data/web": None, "GET /v1/secret/metadata/web": {"data": METADATA}})
    found = asyncio.run(SecretV2(deleted).read("secret/data/web", old))
    assert found[1]["dataJson"] == SECRET["dataJson"]
    assert found[1]["data"] == {"word": "new"}
    gone = Server({"GET /v1/secret/data/web": None, "GET /v1/secret/metadata/web": None})
    assert asyncio.run(SecretV2(gone).read("secret/data/web", old)) is None


def test_an_updated_secret_is_written_before_its_metadata_which_are_those_last_read():
    server = Server({"GET /v1/secret/metadata/web": {"data": METADATA}, "GET /v1/secret/data/web": None})
    read = asyncio.run(SecretV2(server).read("secret/data/web", {"mount": "secret"}))[1]
    asyncio.run(SecretV2(server).update("secret/data/web", {**SECRET, **read}, SECRET, CALL))
    posted = [request for request in server.bodies if request.startswith("POST")]
    assert posted == ["POST /v1/secret/data/web", "POST /v1/secret/metadata/web"]
    assert server.bodies[posted[1]] == {
        "max_versions": 5,
        "cas_required": False,
        "delete_version_after": 5400,
        "custom_metadata": {},
    }


def test_a_created_secret_writes_no_metadata_unless_the_program_has_some():
    answers = {"GET /v1/secret/metadata/web": {"data": METADATA}, "GET /v1/secret/data/web": None}
    plain, described = Server(answers), Server(answers)
    asyncio.run(SecretV2(plain).create(SECRET, CALL))
    assert "POST /v1/secret/metadata/web" not in plain.bodies
    custom = {"customMetadata": {"maxVersions": 2}}
    asyncio.run(SecretV2(described).create({**SECRET, **custom}, CALL))
    assert described.bodies["POST /v1/secret/metadata/web"] == {"max_versions": 2}


def test_a_group_of_a_name_that_is_taken_is_refused_with_the_way_out():
    group = Group(Server({"POST /v1/identity/group": {}}))
    with pytest.raises(PluginError, match=r"'ops' exists already: import it"):
        asyncio.run(group.create({"name": "ops", "type": "internal"}, CALL))


def test_members_of_an_external_group_are_not_kept_since_logins_change_them():
    stored = {"name": "ops", "type": "external", "member_entity_ids": ["1"], "policies": ["a"]}
    server = Server({"GET /v1/identity/group/id/7": {"data": stored}})
    assert asyncio.run(Group(server).read("7", {})) == (
        "7",
        {"name": "ops", "type": "external", "policies": ["a"]},
    )


def test_an_id_of_another_form_is_refused_with_the_form():
    with pytest.raises(PluginError, match="give auth/<backend>/role/<roleName>"):
        asyncio.run(AppRole(Server({})).read("ci", {}))
