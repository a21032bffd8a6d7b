"""Names, mounts and paths that change on a running stack, and resources that are replaced as they are."""

import json
import ssl
import subprocess

import httpx
import pytest
import yaml
from upstream import Upstream
from waiting import until

from devcluster.stack import STACK

MOUNT = "other-kv"
SECRET, POLICY = "vault:kv/secretV2:SecretV2", "vault:index/policy:Policy"
PKI_ROLE = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
DEFAULTS = "consul:index/configEntryServiceDefaults:ConfigEntryServiceDefaults"
INTENTIONS = "consul:index/configEntryServiceIntentions:ConfigEntryServiceIntentions"


class Renamed:
    """A stack whose settings change, and what its servers then have."""

    def __init__(self, deployment, upstream, folder):
        self.deployment, self.folder = deployment, folder
        self.mirror = {
            "name": "small",
            "upstream": upstream.url,
            "port": deployment.ports.registry + 10,
            "username": "a",
            "maxSize": "1MiB",
        }
        self.vault = httpx.Client(
            base_url=f"{deployment.cluster.vault_address}/v1",
            headers={"X-Vault-Token": deployment.cluster.vault_token},
            timeout=30,
        )

    def mirrors(self, name):
        """Write the one mirror, its password encrypted, under a name."""
        content = yaml.safe_load(self.deployment.settings_text())
        content["config"]["docker-registry:mirrors"] = [{**self.mirror, "name": name}]
        self.deployment.restore(yaml.safe_dump(content, sort_keys=False))
        self.deployment.encrypt("mirrors[0].password", "b")

    def up(self):
        """One `up`, after which nothing is left to do and the registry serves."""
        self.deployment.up()
        self.deployment.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")
        trust = ssl.create_default_context(cafile=self.deployment.trusted)
        url = f"https://{self.deployment.address}/v2/"
        until(lambda: httpx.get(url, verify=trust).status_code == 401)

    def urns(self, *kinds):
        """URNs of the stack's resources of these types."""
        exported = json.loads(self.deployment.run("pulumi", "stack", "export", "--stack", STACK))
        urns = [each["urn"] for each in exported["deployment"]["resources"] if each.get("custom")]
        return [urn for urn in urns if urn.split("::")[2].rpartition("$")[2] in kinds]

    def replace(self, *kinds):
        """Replace all resources of these types; give their URNs."""
        found = self.urns(*kinds)
        chosen = [argument for urn in found for argument in ("--replace", urn)]
        self.deployment.run("pulumi", "up", "--yes", "--skip-preview", "--stack", STACK, *chosen)
        return found


@pytest.fixture(scope="module")
def upstream(deployment):
    bridge = ["ip", "-json", "-4", "address", "show", "dev", deployment.cluster.instance.label]
    shown = json.loads(subprocess.run(bridge, capture_output=True, check=True).stdout)
    made = Upstream(shown[0]["addr_info"][0]["local"], registry_port=None, login="a:b")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def stack(deployment, upstream, tmp_path_factory):
    """Everything that has a name, a mount or a path of its own, deployed."""
    made = Renamed(deployment, upstream, tmp_path_factory.mktemp("written"))
    made.vault.post(f"/sys/mounts/{MOUNT}", json={"type": "kv", "options": {"version": "2"}})
    until(lambda: made.vault.get(f"/{MOUNT}/config").is_success)
    deployment.change("tls", mode="registry")
    deployment.change(
        "monitoring", port=deployment.ports.registry_debug + 1, directory=str(made.folder / "first")
    )
    rules = [{"repositories": ["acl/*"], "keepTags": ["2"]}]
    deployment.change("maintenance", garbageCollection={}, retention={"rules": rules}, backup={}, scan={})
    made.mirrors("small")
    made.up()
    yield made
    deployment.restore(deployment.settings_at_first)
    deployment.up()
    made.vault.delete(f"/sys/mounts/{MOUNT}")


def test_another_mount_of_the_authority_is_one_up(stack):
    stack.deployment.change("tls", authority={"mount": "other-pki"})

    stack.up()

    assert "other-pki/" in stack.vault.get("/sys/mounts").json()["data"]
    assert "docker-registry-pki/" not in stack.vault.get("/sys/mounts").json()["data"]


def test_another_mount_of_the_secrets_is_one_up(stack):
    stack.deployment.change("vault", mount=MOUNT)

    stack.up()

    names = stack.vault.request("LIST", f"/{MOUNT}/metadata/docker-registry").json()["data"]["keys"]
    assert {"http", "users", "mirrors/"} <= {*names}
    # The backups' password is the job's, and stays where it was made.
    assert stack.vault.get("/secret/data/docker-registry/http").status_code == 404


def test_other_paths_and_names_below_are_one_up(stack):
    stack.deployment.change(
        "monitoring",
        port=stack.deployment.ports.registry_debug + 1,
        directory=str(stack.folder / "second"),
    )
    stack.mirrors("other")

    stack.up()

    assert not [each for each in (stack.folder / "first").rglob("*") if each.is_file()]
    assert [each for each in (stack.folder / "second").rglob("*") if each.is_file()]
    assert stack.vault.get(f"/{MOUNT}/data/docker-registry/mirrors/other").is_success
    assert stack.vault.get(f"/{MOUNT}/data/docker-registry/mirrors/small").status_code == 404


def test_a_replaced_secret_is_there_with_its_contents(stack):
    found = stack.replace(SECRET)

    assert len(found) == 3  # http.secret, users, the mirror's password
    mount = stack.deployment.section("vault")["mount"]
    for path in ("http", "users", "mirrors/other"):
        answer = stack.vault.get(f"/{mount}/data/docker-registry/{path}")
        assert answer.is_success and answer.json()["data"]["data"], path
    stack.up()


def test_replaced_config_entries_of_consul_are_there(stack):
    stack.replace(DEFAULTS, INTENTIONS)

    for kind in ("service-defaults", "service-intentions"):
        found = httpx.get(f"{stack.deployment.cluster.consul_address}/v1/config/{kind}/registry")
        assert found.json()["Name"] == "registry"
    stack.up()


def test_a_replaced_role_of_the_authority_issues_certificates(stack):
    (_,) = stack.replace(PKI_ROLE)

    names = {"common_name": stack.deployment.address.partition(":")[0]}
    assert stack.vault.post("/other-pki/issue/docker-registry", json=names).is_success
    stack.up()


def test_replaced_policies_are_there(stack):
    found = stack.replace(POLICY)

    names = stack.vault.request("LIST", "/sys/policies/acl").json()["data"]["keys"]
    assert len(found) == len([name for name in names if name.startswith("docker-registry")])
    stack.up()


def test_replaced_files_and_jobs_are_there(stack):
    """The commands' own `delete` would remove what `create` has just written."""
    stack.replace("command:local:Command", "nomad:index/job:Job")

    assert [each for each in (stack.folder / "second").rglob("*") if each.is_file()]
    jobs = httpx.get(f"{stack.deployment.cluster.nomad_address}/v1/jobs").json()
    running = [each for each in jobs if not each["ParentID"] and not each["Stop"]]
    assert len(running) == len(stack.urns("nomad:index/job:Job"))
    stack.up()
