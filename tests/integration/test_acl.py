"""A cluster with ACLs on, and a deployer whose three tokens have just what docs/policies says."""

import hashlib
import json
import os
import re
import subprocess
from contextlib import contextmanager

import httpx
import pytest
import yaml
from deployment import Deployment
from documents import block
from policies import (
    consul_policy,
    nomad_policy,
    nomad_rules,
    vault_blocks,
    vault_policy,
    vault_rules,
)
from running import RunningCluster
from throwaway import throwaway_cluster
from upstream import Upstream
from waiting import until

from checks.errors import CheckError
from checks.job_run import JobRun
from checks.preflight import preflight
from checks.servers import Server, Servers
from config.providers import Endpoint
from config.settings import Settings

AUTH_VOLUME = '\nhost_volume "registry*auth" { policy = "write" }'
CACHE_VOLUME = '\nhost_volume "registry*cache" { policy = "write" }'
# Nobody answers there, so that no preflight goes to Docker Hub.
MIRROR = {
    "name": "docker-hub",
    "upstream": "http://127.0.0.1:1",
    "port": 5010,
    "username": "me",
    "password": "hunter2",
}
GRANTS = {"ci-app": {"repositories": {"ci/app": ["pull", "push"]}}}
# Between them these need every block of vault.hcl but the one for secrets in registry.config.
WIDE = {
    "policies": {
        "tls": {"mode": "registry"},
        "auth": {
            "mode": "vault",
            "grants": GRANTS,
            "nodes": {"grant": "ci-app"},
            "oidc": {
                "discoveryUrl": "https://id.homelab.local",
                "clientId": "vault",
                "clientSecret": "s",
                "groups": {"developers": ["ci-app"]},
            },
        },
        "vault": {"identity": "policies"},
    },
    "workload": {
        "auth": {"mode": "vault", "grants": GRANTS, "nodes": {"grant": "ci-app"}},
        "vault": {"identity": "workload", "workload": {"createBackend": True}},
        "mirrors": [MIRROR],
    },
    "htpasswd": {"vault": {"identity": "policies"}},
}


class Acl:
    """Makes tokens at the three servers, with their management tokens."""

    def __init__(self, cluster):
        self.cluster, self._made = cluster, 0
        self._tokens = {
            "X-Nomad-Token": cluster.env["NOMAD_TOKEN"],
            "X-Consul-Token": cluster.env["CONSUL_HTTP_TOKEN"],
            "X-Vault-Token": cluster.env["VAULT_TOKEN"],
        }

    def ask(self, method, url, body=None):
        """What a server answers to one who may do everything."""
        response = httpx.request(method, url, json=body, headers=self._tokens, trust_env=False)
        response.raise_for_status()
        return response.json() if response.content else None

    def nomad(self, rules):
        name, acl = self._name(), f"{self.cluster.nomad_address}/v1/acl"
        self.ask("PUT", f"{acl}/policy/{name}", {"Name": name, "Rules": rules})
        token = {"Name": name, "Type": "client", "Policies": [name]}
        return self.ask("PUT", f"{acl}/token", token)["SecretID"]

    def consul(self, rules):
        name, acl = self._name(), f"{self.cluster.consul_address}/v1/acl"
        self.ask("PUT", f"{acl}/policy", {"Name": name, "Rules": rules})
        return self.ask("PUT", f"{acl}/token", {"Policies": [{"Name": name}]})["SecretID"]

    def vault(self, rules):
        name = self._name()
        self.set_vault_policy(name, rules)
        made = self.ask("POST", f"{self.cluster.vault_address}/v1/auth/token/create", {"policies": [name]})
        return made["auth"]["client_token"], name

    def set_vault_policy(self, name, rules):
        url = f"{self.cluster.vault_address}/v1/sys/policies/acl/{name}"
        self.ask("PUT", url, {"policy": vault_policy(rules)})

    def let_the_drill_report(self):
        """Put a token for its check beside the password of the backups, as the documentation says."""
        put = block("docs/backup.md", "vault kv patch secret/docker-registry/backup consul_token=-")
        subprocess.run(
            ["sh", "-ec", put.text],
            input=self.consul('service "registry-drill" { policy = "write" }'),
            env={
                **self.cluster.env,
                "PATH": self.cluster.documents_path,
                "VAULT_TOKEN": self._tokens["X-Vault-Token"],
            },
            text=True,
            check=True,
        )

    def may_restart(self, allocation, rules):
        """Whether these rules let one restart an allocation's tasks; asked for a task that it has not."""
        answer = httpx.put(
            f"{self.cluster.nomad_address}/v1/client/allocation/{allocation}/restart",
            json={"TaskName": "none"},
            headers={"X-Nomad-Token": self.nomad(rules)},
            trust_env=False,
        )
        assert answer.status_code == 403 or "Could not find task" in answer.text, answer.text
        return answer.status_code != 403

    def _name(self):
        self._made += 1
        return f"deployer-{self._made}"


@pytest.fixture(scope="module")
def acl():
    """The cluster, and the means to make tokens there."""
    with throwaway_cluster(acl=True) as made:
        yield Acl(RunningCluster.start(made))


class Deployer(Deployment):
    """The program, deployed with tokens that the documented policies made."""

    def use(self, acl):
        """Take the management tokens away, and give those that the stack needs now."""
        self.acl = acl
        content = yaml.safe_load(self.stack.file.read_text())
        del content["config"]["vault:token"]
        self.restore(yaml.safe_dump(content, sort_keys=False))
        self.rules = vault_rules(self.settings())
        vault_token, self.vault_policy = acl.vault(self.rules)
        self.cluster.env.update(
            NOMAD_TOKEN=acl.nomad(nomad_policy()),
            CONSUL_HTTP_TOKEN=acl.consul(consul_policy()),
            VAULT_TOKEN=vault_token,
        )

    def settings(self):
        """The stack's settings as the program reads them; what is encrypted stays so, without the users."""
        written = json.dumps(yaml.safe_load(self.stack.file.read_text())["config"])
        config = json.loads(
            written, object_hook=lambda each: "encrypted" if list(each) == ["secure"] else each
        )
        config["docker-registry:auth"] = {**config["docker-registry:auth"], "users": {}}
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
        return Settings.read("dev", texts, {})

    @contextmanager
    def changed_mode(self):
        """Let the token have what the stack needed before and what it needs now, then only the latter."""
        needed = vault_rules(self.settings())
        self.acl.set_vault_policy(self.vault_policy, self.rules | needed)
        yield
        self.acl.set_vault_policy(self.vault_policy, needed)
        self.rules = needed

    def preview_is_clean(self):
        self.run("pulumi", "preview", "--stack", "dev", "--expect-no-changes")

    def allocation(self):
        url = f"{self.cluster.nomad_address}/v1/job/docker-registry/allocations"
        wanted = [each for each in self.acl.ask("GET", url) if each["DesiredStatus"] == "run"]
        # `pending` is what Nomad calls one that restarts, as after each freeze.
        (running,) = [each["ID"] for each in wanted if each["ClientStatus"] in ("running", "pending")]
        return running


@pytest.fixture(scope="module")
def deployer(acl):
    cluster = RunningCluster(cluster=acl.cluster.cluster, env=dict(acl.cluster.env))
    made = Deployer.make(cluster)
    made.use(acl)
    return made


@pytest.fixture(scope="module")
def deployed(deployer):
    deployer.up()
    yield deployer
    deployer.destroy()


@pytest.fixture
def registry(deployed):
    deployed.wait_until_served()
    return deployed


def test_without_a_token_nobody_reads_nodes_or_services(acl):
    assert httpx.get(f"{acl.cluster.nomad_address}/v1/nodes").status_code == 403
    assert httpx.get(f"{acl.cluster.consul_address}/v1/catalog/services").json() == {}


def test_a_preview_names_the_right_that_is_missing(deployer):
    rules = dict(deployer.rules)
    del rules["sys/policies/acl/docker-registry"]
    token, _ = deployer.acl.vault(rules)

    output = deployer.preview(check=False, env={"VAULT_TOKEN": token})

    assert "the token in vault:token lacks rights at Vault" in output
    assert 'path "sys/policies/acl/docker-registry" {' in output
    assert token not in output


def test_the_deployed_registry_is_routed_and_takes_a_push(registry):
    registry.login(registry.tls_address)
    push(registry, "1")

    assert tags(registry) == ["1"]


def push(registry, tag):
    reference = f"{registry.tls_address}/acl/hello:{tag}"
    registry.docker("tag", "registry:3", reference)
    registry.docker("push", "--quiet", reference)


def tags(registry):
    return registry.crane("ls", f"{registry.tls_address}/acl/hello").split()


def test_the_documented_rights_change_the_job(registry):
    registry.change("registry", memory=300)

    preview, up = block("README.md", "pulumi preview").commands
    assert re.search(r"registry-job +update", registry.shell(preview))
    registry.shell(up)
    registry.wait_until_served()
    registry.preview_is_clean()


def test_the_documented_rights_change_a_user_and_the_allocation_stays(registry):
    before = registry.allocation()
    registry.run("python", "-m", "ops", "users", "set", "alice", "--stack", "dev", text="a new password\n")

    registry.up()

    assert registry.allocation() == before
    registry.preview_is_clean()


@pytest.fixture
def small_mirror(registry):
    """Adds a mirror to the stack file, or takes it away again; gives the directory of its cache."""
    shown = subprocess.run(
        ["ip", "-json", "-4", "address", "show", "dev", registry.cluster.instance.label],
        capture_output=True,
        check=True,
    )
    upstream = Upstream(json.loads(shown.stdout)[0]["addr_info"][0]["local"], registry_port=None, login="a:b")
    mirror = {"name": "small", "upstream": upstream.url, "port": registry.ports.registry + 10}

    def write(*, present):
        content = yaml.safe_load(registry.settings_text())
        mirrors = [{**mirror, "auth": "none", "maxSize": "1MiB"}] if present else []
        content["config"]["docker-registry:mirrors"] = mirrors
        registry.restore(yaml.safe_dump(content, sort_keys=False))
        return registry.cluster.instance.cache_volume / "small"

    yield write
    upstream.stop()


def test_maintenance_asks_for_a_management_token_and_gives_its_jobs_only_what_they_do(registry, small_mirror):
    given = registry.acl.cluster.env
    management = {"NOMAD_TOKEN": given["NOMAD_TOKEN"], "CONSUL_HTTP_TOKEN": given["CONSUL_HTTP_TOKEN"]}
    rules = [{"repositories": ["acl/*"], "keepTags": ["2"]}]
    registry.change("maintenance", garbageCollection={}, retention={"rules": rules})
    assert "is no management token of Nomad" in registry.preview(check=False)
    registry.change("maintenance", backup={})
    registry.change("monitoring", port=registry.ports.registry_debug + 1)
    cache = small_mirror(present=True)
    with registry.changed_mode():
        registry.up(env=management)
    registry.wait_until_served()

    def ops(*command):
        return registry.run("python", "-m", "ops", *command, "--stack", "dev", env=management)

    push(registry, "2")
    assert "freed 0 blobs" in ops("gc")
    assert "1 snapshots are kept" in ops("backup", "now")
    registry.acl.let_the_drill_report()
    assert "can be restored" in ops("backup", "verify")
    assert "1 tag and 0 manifests" in ops("retention", "plan")
    assert "removed 1 tag" in ops("retention", "apply", "--yes")
    registry.wait_until_served()
    assert tags(registry) == ["2"]
    assert "come back: 1" in ops("restore", "latest", "--yes")
    registry.wait_until_served()
    assert tags(registry) == ["1", "2"]

    policies = registry.acl.ask("GET", f"{registry.cluster.nomad_address}/v1/acl/policies")
    names = [each["Name"] for each in policies if each["Name"].startswith("docker-registry-")]
    asking = ["backup", "exporter", "gc", "mirrors-evict", "restore", "retention-apply"]
    assert sorted(names) == [f"docker-registry-{kind}" for kind in asking]
    for name in names:
        policy = registry.acl.ask("GET", f"{registry.cluster.nomad_address}/v1/acl/policy/{name}")
        assert policy["JobACL"]["JobID"] == name
        freezes = name not in {"docker-registry-exporter", "docker-registry-mirrors-evict"}
        if freezes:  # and may restart a registry that did not notice it
            assert registry.acl.may_restart(registry.allocation(), policy["Rules"])
    registry.run("pulumi", "preview", "--stack", "dev", "--expect-no-changes", env=management)
    told = httpx.get(f"http://127.0.0.1:{registry.ports.registry_debug + 1}/metrics").text
    assert re.search(r'^docker_registry_last_success_timestamp_seconds{kind="gc"} \d+$', told, re.MULTILINE)
    assert 'can_ask{part="registry"} 1' in told

    fill(cache, 2 * 2**20)
    nomad = Server(
        Endpoint(name="Nomad", setting="nomad:address", address=registry.cluster.nomad_address),
        management["NOMAD_TOKEN"],
    )
    run = JobRun.forced(nomad, "docker-registry-mirrors-evict", "default")
    assert json.loads(run.output("evict-mirrors"))["evicted"]["bytes"] == 0

    registry.change("maintenance", garbageCollection=None, backup=None, retention=None)
    small_mirror(present=False)
    registry.remove("monitoring")
    with registry.changed_mode():
        registry.up(env=management)
    policies = registry.acl.ask("GET", f"{registry.cluster.nomad_address}/v1/acl/policies")
    assert not [each for each in policies if each["Name"].startswith("docker-registry-")]
    registry.wait_until_served()


def fill(store, size):
    """Put a blob that no image uses into a store."""
    digest = hashlib.sha256(bytes(size)).hexdigest()
    made = store / "docker/registry/v2/blobs/sha256" / digest[:2] / digest
    made.mkdir(parents=True)
    (made / "data").write_bytes(bytes(size))
    owner = store.parent.stat()
    for path in (store, *store.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def test_the_cluster_serves_again_after_it_was_stopped(registry):
    registry.cluster.cluster.down()
    registry.cluster.cluster.up()

    registry.wait_until_served()


def test_the_documented_rights_change_to_tls_and_tokens_of_vaults(registry):
    vault = registry.cluster.vault_address
    oidc = {"discoveryUrl": f"{vault}/v1/identity/oidc/provider/default", "clientId": "vault"}
    oidc["groups"] = {"developers": ["ci-app"]}
    nodes = {"grant": "ci-app"}
    registry.change("auth", mode="vault", users=None, grants=GRANTS, oidc=oidc, nodes=nodes)
    registry.encrypt("auth.oidc.clientSecret", "secret")
    registry.change("tls", mode="registry")
    registry.cluster.env["NOMAD_TOKEN"] = registry.acl.nomad(nomad_policy() + AUTH_VOLUME)
    with registry.changed_mode():
        registry.up()

    registry.wait_until_served()
    registry.preview_is_clean()
    # A key that is turned reaches the registry without the deployer.
    registry.run("python", "-m", "ops", "keys", "refresh", "--stack", "dev")


def test_a_right_that_a_deployed_stack_lost_is_named_too(registry):
    lost = "identity/oidc/role/docker-registry-ci-app"
    token, _ = registry.acl.vault({path: each for path, each in registry.rules.items() if path != lost})

    # The engine reads what there is before it runs the program, so the provider is first to miss the right.
    output = registry.preview(check=False, env={"VAULT_TOKEN": token})

    assert lost in output
    assert "permission denied" in output
    assert token not in output


def test_the_documented_rights_destroy_everything(registry):
    registry.destroy()

    acl, cluster = registry.acl, registry.cluster
    # Runs of the periodic job stay listed until Nomad's garbage collection.
    jobs = acl.ask("GET", f"{cluster.nomad_address}/v1/jobs")
    assert [job["ID"] for job in jobs if job["Status"] != "dead"] == []
    assert acl.ask("GET", f"{cluster.consul_address}/v1/config/service-defaults") == []
    assert acl.ask("GET", f"{cluster.consul_address}/v1/config/service-intentions") == []
    mounts = acl.ask("GET", f"{cluster.vault_address}/v1/sys/mounts")["data"]
    policies = acl.ask("GET", f"{cluster.vault_address}/v1/sys/policies/acl?list=true")["data"]["keys"]
    assert "docker-registry-pki/" not in mounts
    assert [name for name in policies if name.startswith("docker-registry")] == []


# The preflight alone, as `pulumi preview` runs it, for each rule that is taken away


class Asked:
    """Settings of a wide stack and tokens for it, of which a test weakens one."""

    def __init__(self, acl):
        self.acl = acl
        self.nomad = nomad_policy() + AUTH_VOLUME + CACHE_VOLUME

    def report(self, stack, *, nomad=None, consul=None, vault=None):
        """What the preflight says; "" if all is well."""
        settings = read(stack, self.acl.cluster)
        tokens = {
            "nomad:secretId": self.acl.nomad(self.nomad if nomad is None else nomad),
            "consul:token": self.acl.consul(consul_policy() if consul is None else consul),
            "vault:token": self.acl.vault(vault_rules(settings) if vault is None else vault)[0],
        }
        settings = read(stack, self.acl.cluster, tokens)
        try:
            with Servers(settings.providers) as servers:
                preflight(settings, servers)
        except CheckError as error:
            return str(error)
        return ""


def read(stack, cluster=None, tokens=None):
    places = {"nomad:address": "http://n", "consul:address": "c", "vault:address": "http://v"}
    if cluster:
        places = {
            "nomad:address": cluster.nomad_address,
            "consul:address": cluster.consul_address,
            "vault:address": cluster.vault_address,
        }
        stack = {**stack, "storage": {"path": str(cluster.instance.registry_volume)}}
    sections = {f"docker-registry:{key}": json.dumps(value) for key, value in stack.items()}
    return Settings.read("dev", {**places, **(tokens or {}), **sections}, {})


@pytest.fixture(scope="module")
def asked(acl):
    return Asked(acl)


VAULT_RULES = [(name, path) for name, stack in WIDE.items() for path in vault_rules(read(stack))]


@pytest.mark.parametrize("stack", WIDE)
def test_with_the_documented_policies_nothing_is_missing(asked, stack):
    assert asked.report(WIDE[stack]) == ""


@pytest.mark.parametrize(("stack", "path"), VAULT_RULES)
def test_each_rule_that_is_taken_from_vaults_policy_is_named(asked, stack, path):
    rules = vault_rules(read(WIDE[stack]))
    rules.pop(path)

    report = asked.report(WIDE[stack], vault=rules)

    assert [line for line in report.splitlines() if line.startswith("path")] == [f'path "{path}" {{']


def test_those_rules_are_all_that_are_documented(asked):
    # Maintenance takes a management token of Nomad's, so its blocks are compared with the code alone.
    blocks = vault_blocks()
    documented = {path for name in blocks if "maintenance" not in name for path in blocks[name]}

    assert documented - {path for _, path in VAULT_RULES} == {
        "secret/data/docker-registry/config",
        "secret/metadata/docker-registry/config",
    }


@pytest.mark.parametrize("rule", nomad_rules())
def test_each_rule_that_is_taken_from_nomads_policy_is_named(asked, rule):
    report = asked.report(WIDE["policies"], nomad=asked.nomad.replace(rule, ""))

    assert "lacks rights at Nomad" in report
    assert rule.strip().split("{", maxsplit=1)[0].rstrip(", ") in report


def test_the_rules_for_the_volumes_of_the_auth_file_and_of_the_caches_are_named(asked):
    report = asked.report(WIDE["workload"], nomad=nomad_policy())

    assert 'host_volume "registry*auth"' in report and 'host_volume "registry*cache"' in report


def test_the_documented_rights_find_a_service_with_the_same_host_name(asked):
    consul = asked.acl.cluster.consul_address
    tags = ["traefik.http.routers.web.rule=Host(`registry.homelab.local`)"]
    service = {"Node": "elsewhere", "Address": "127.0.0.9", "Service": {"Service": "web", "Tags": tags}}
    asked.acl.ask("PUT", f"{consul}/v1/catalog/register", service)
    try:
        report = asked.report(WIDE["policies"])
    finally:
        asked.acl.ask("PUT", f"{consul}/v1/catalog/deregister", {"Node": "elsewhere"})

    assert "Traefik routes registry.homelab.local to service web already" in report


def test_a_port_of_a_job_in_another_namespace_is_found_and_the_job_named_to_who_may_read_it(asked):
    ask, nomad = asked.acl.ask, asked.acl.cluster.nomad_address
    ask("PUT", f"{nomad}/v1/namespace/team", {"Name": "team"})
    task = {"Name": "web", "Driver": "raw_exec", "Config": {"command": "sleep", "args": ["600"]}}
    network = {"ReservedPorts": [{"Label": "http", "Value": 5000}]}
    group = {"Name": "web", "Tasks": [task], "Networks": [network]}
    job = {"ID": "web", "Namespace": "team", "Datacenters": ["dc1"], "TaskGroups": [group]}
    ask("PUT", f"{nomad}/v1/jobs?namespace=team", {"Job": job})
    try:
        until(lambda: ask("GET", f"{nomad}/v1/job/web/allocations?namespace=team"))
        unknown = asked.report(WIDE["policies"])
        named = asked.report(
            WIDE["policies"], nomad=asked.nomad + '\nnamespace "*" { capabilities = ["read-job"] }'
        )
    finally:
        ask("DELETE", f"{nomad}/v1/job/web?namespace=team&purge=true")

    assert "has port 5000 free; it is taken by something that the token may not read" in unknown
    assert "has port 5000 free; it is taken by job web (namespace team) on cluster" in named


@pytest.mark.parametrize(
    ("written", "instead", "named"),
    [
        ('policy     = "write"', 'policy     = "read"', "lacks service:write"),
        ('intentions = "write"', 'intentions = "read"', "lacks intention:write"),
    ],
)
def test_each_rule_that_is_taken_from_consuls_policy_is_named(asked, written, instead, named):
    rules = consul_policy()
    assert written in rules

    assert named in asked.report(WIDE["policies"], consul=rules.replace(written, instead))
