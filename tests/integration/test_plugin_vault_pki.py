"""The local vault plugin's PKI types against a real server of Vault's API, driven by the real engine."""

import httpx
import pulumi
import pulumi_vault as vault
import pytest
from cryptography import x509
from plugin_harness import Trial

ALL = ("mount", "root", "role")
YEAR = 8760 * 3600  # seconds
IMPORT_IDS = {"mount": "plugin-pki", "role": "plugin-pki/roles/plugin"}


def authority(*, mount=None, root=None, role=None, imports=None, remade=False):
    """A mount, a CA in it and a role that issues from that CA; a test gives what it wants different.

    `remade`: another path of the mount makes all of it anew.
    """

    def options(name):
        return pulumi.ResourceOptions(
            import_=(imports or {}).get(name),
            **(
                {"replace_on_changes": ["path"], "delete_before_replace": True}
                if remade and name == "mount"
                else {}
            ),
        )

    def program():
        mounted = vault.Mount(
            "mount",
            **{"path": "plugin-pki", "type": "pki", "max_lease_ttl_seconds": 10 * YEAR, **(mount or {})},
            opts=options("mount"),
        )
        issuer = "default"
        if not imports:  # a root cannot be imported
            made = vault.pkisecret.SecretBackendRootCert(
                "root",
                **{
                    "backend": mounted.path,
                    "type": "internal",
                    "common_name": "Plugin CA",
                    "key_type": "ec",
                    "key_bits": 256,
                    "ttl": "87600h",
                    **(root or {}),
                },
            )
            issuer = made.issuer_id
            pulumi.export("certificate", made.certificate)
            pulumi.export("serial", made.serial_number)
        vault.pkisecret.SecretBackendRole(
            "role",
            **{
                "backend": mounted.path,
                "name": "plugin",
                "issuer_ref": issuer,
                "allowed_domains": ["registry.test"],
                "allow_bare_domains": True,
                "client_flag": False,
                "key_type": "ec",
                "key_bits": 256,
                "ttl": "3600",
                **(role or {}),
            },
            opts=options("role"),
        )
        pulumi.export("accessor", mounted.accessor)

    return program


@pytest.fixture(scope="module")
def api(cluster):
    headers = {"X-Vault-Token": cluster.vault_token}
    with httpx.Client(base_url=f"{cluster.vault_address}/v1", headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def seen(cluster, api, tmp_path_factory):
    """One stack lives through everything; the tests look at what was seen on the way."""

    def data(path):
        answer = api.get(path)
        return answer.json()["data"] if answer.status_code == 200 else None

    def issued():
        answer = api.post("/plugin-pki/issue/plugin", json={"common_name": "registry.test"})
        return x509.load_pem_x509_certificate(answer.json()["data"]["certificate"].encode())

    trial = Trial("plugin-pki", tmp_path_factory.mktemp("pki") / "state", cluster.env)
    seen = {"created": trial.up(authority()), "outputs": trial.outputs(), "stored": trial.stored()}
    seen["mount"], seen["role"], seen["issued"] = (
        data("/sys/mounts/plugin-pki"),
        data("/plugin-pki/roles/plugin"),
        issued(),
    )
    seen["again"] = trial.preview(authority(), refresh=True)
    seen["hours"] = trial.preview(authority(role={"ttl": "1h"}))

    changed = {
        "mount": {"max_lease_ttl_seconds": 5 * YEAR, "description": "certificates"},
        "root": {"ttl": "43800h"},
        "role": {"ttl": "7200", "allowed_domains": ["registry.test", "other.test"]},
    }
    seen["updated"] = trial.up(authority(**changed))
    seen["new mount"], seen["new role"] = data("/sys/mounts/plugin-pki"), data("/plugin-pki/roles/plugin")
    seen["kept"] = trial.outputs()["serial"].value

    api.post("/sys/mounts/plugin-pki/tune", json={"description": "by hand"})
    api.patch(
        "/plugin-pki/roles/plugin",
        json={"server_flag": False},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    seen["drift"] = trial.preview(authority(**changed), refresh=True)

    other = {"root": {"common_name": "Plugin CA 2"}}
    seen["replaced"], seen["new outputs"], seen["reissued"] = (
        trial.up(authority(**other)),
        trial.outputs(),
        issued(),
    )
    seen["issuers"] = api.request("LIST", "/plugin-pki/issuers").json()["data"]["keys"]
    api.delete(f"/plugin-pki/issuer/{seen['issuers'][0]}")
    seen["no issuer"] = trial.up(authority(**other))

    newcomer = Trial("plugin-pki-import", tmp_path_factory.mktemp("pki") / "state", cluster.env)
    as_is = {"role": {"issuer_ref": data("/plugin-pki/roles/plugin")["issuer_ref"]}}
    newcomer.up(authority(imports=IMPORT_IDS, **as_is))
    seen["imported"] = newcomer.preview(authority(imports=IMPORT_IDS, **as_is))

    api.delete("/sys/mounts/plugin-pki")
    seen["gone"] = trial.up(authority(), refresh=True)
    moving = Trial("plugin-pki-moving", tmp_path_factory.mktemp("pki") / "state", cluster.env)
    moving.up(authority(mount={"path": "plugin-pki-a"}))
    seen["moved"] = moving.failure("up", authority(mount={"path": "plugin-pki-b"}))
    seen["where it was"], seen["where it is"] = (
        data("/sys/mounts/plugin-pki-a"),
        data("/sys/mounts/plugin-pki-b"),
    )
    api.delete("/sys/mounts/plugin-pki-b")

    seen["remade"] = trial.up(authority(mount={"path": "plugin-pki-2"}, remade=True))
    seen["at the new path"] = [data("/sys/mounts/plugin-pki"), data("/plugin-pki-2/roles/plugin")]
    seen["destroyed"], seen["after"] = trial.destroy(), data("/sys/mounts/plugin-pki-2")
    return seen


def test_up_makes_a_mount_a_root_and_a_role(seen):
    assert seen["created"].operations == dict.fromkeys(ALL, "create")
    assert seen["mount"]["config"]["max_lease_ttl"] == 10 * YEAR
    assert (seen["role"]["ttl"], seen["role"]["client_flag"]) == (3600, False)


def test_outputs_hold_the_certificate_of_the_ca_and_no_key(seen):
    certificate = x509.load_pem_x509_certificate(seen["outputs"]["certificate"].value.encode())
    assert certificate.subject.rfc4514_string() == "CN=Plugin CA"
    assert f"{certificate.serial_number:x}" in seen["outputs"]["serial"].value.replace(":", "")
    assert seen["outputs"]["accessor"].value.startswith("pki_")
    assert "PRIVATE KEY" not in seen["stored"]


def test_the_role_issues_certificates_of_the_ca(seen):
    assert seen["issued"].issuer.rfc4514_string() == "CN=Plugin CA"


def test_a_second_preview_shows_no_change(seen):
    assert seen["again"].operations == {}


def test_a_role_ttl_in_another_unit_than_seconds_is_a_change_as_with_the_published_plugin(seen):
    assert seen["hours"].paths == {"role": ["ttl"]}


def test_changes_are_updates_in_place(seen):
    assert seen["updated"].operations == dict.fromkeys(ALL, "update")
    assert seen["new mount"]["config"]["max_lease_ttl"] == 5 * YEAR
    assert seen["new mount"]["description"] == "certificates"
    assert (seen["new role"]["ttl"], seen["new role"]["allowed_domains"]) == (
        7200,
        ["registry.test", "other.test"],
    )


def test_another_ttl_of_the_root_signs_no_new_certificate_as_with_the_published_plugin(seen):
    assert seen["kept"] == seen["outputs"]["serial"].value


def test_refresh_sees_changes_made_behind_pulumi(seen):
    assert seen["drift"].paths == {"mount": ["description"], "role": ["serverFlag"]}


def test_another_name_of_the_ca_makes_a_new_one_and_the_role_issues_from_it(seen):
    assert seen["replaced"].operations == {"mount": "update", "root": "replace", "role": "update"}
    assert seen["new outputs"]["serial"].value != seen["outputs"]["serial"].value
    assert seen["reissued"].issuer.rfc4514_string() == "CN=Plugin CA 2"
    assert len(seen["issuers"]) == 1


def test_a_root_whose_issuer_was_deleted_is_made_again_without_a_refresh(seen):
    assert seen["no issuer"].operations == {"root": "replace", "role": "update"}
    assert seen["no issuer"].paths["root"] == ["issuerId"]


def test_mount_and_role_are_imported_by_the_ids_that_the_sdk_documents(seen):
    assert seen["imported"].operations == {}


def test_what_was_unmounted_behind_pulumi_is_made_again(seen):
    assert seen["gone"].operations == dict.fromkeys(ALL, "create")


def test_another_path_moves_the_mount_and_what_was_below_the_old_one_cannot_be_deleted(seen):
    assert "404: no handler for route" in seen["moved"]
    assert seen["where it was"] is None
    assert seen["where it is"]["type"] == "pki"


def test_a_mount_that_another_path_replaces_takes_all_below_it_along(seen):
    assert seen["remade"].operations == dict.fromkeys(ALL, "replace")
    assert seen["at the new path"][0] is None
    assert seen["at the new path"][1]["ttl"] == 3600


def test_destroy_unmounts_it(seen):
    assert seen["destroyed"].operations == dict.fromkeys(ALL, "delete")
    assert seen["after"] is None
