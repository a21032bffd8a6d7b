import json

import httpx
import pytest

from checks.errors import CheckError
from checks.nomad import problems
from checks.preflight import preflight, require_servers
from checks.vault_rights import needed_rights

REFUSED = httpx.ConnectError("[Errno 111] Connection refused")


@pytest.fixture
def report(servers, good, ready):
    """Run the preflight against good servers with some answers changed; gives its report."""

    def run(answers=None, **settings):
        chosen = ready(**settings)
        with pytest.raises(CheckError) as caught:
            preflight(chosen, servers(chosen, {**good, **(answers or {})}))
        return str(caught.value)

    return run


def test_servers_that_are_ready_pass(servers, good, ready):
    settings = ready()

    preflight(settings, servers(settings, good))


def test_one_report_names_every_server_that_is_down(report):
    down = {f"{name} /v1/status/leader": REFUSED for name in ("nomad", "consul")}

    lines = report({**down, "vault /v1/sys/health": REFUSED}).splitlines()

    assert [line.split(" does not answer")[0] for line in lines] == [
        "Nomad at http://127.0.0.1:4646",
        "Consul at http://127.0.0.1:8500",
        "Vault at http://127.0.0.1:8200",
    ]
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["nomad:address", "consul:address", "vault:address"]


def test_before_the_engine_is_started_only_the_three_servers_are_asked(servers, good, ready, monkeypatch):
    monkeypatch.setattr("checks.upstreams.problems", lambda settings: pytest.fail("the Internet was asked"))
    settings = ready()

    require_servers(settings, servers(settings, good))
    with pytest.raises(CheckError, match=r"Vault at http://127\.0\.0\.1:8200 does not answer"):
        require_servers(settings, servers(settings, {**good, "vault /v1/sys/health": REFUSED}))


def test_servers_without_a_leader_are_named(report):
    nobody = {f"{name} /v1/status/leader": {"status": 200, "body": []} for name in ("nomad", "consul")}

    text = report(nobody)

    assert "Nomad at http://127.0.0.1:4646 has no leader" in text
    assert "Consul at http://127.0.0.1:8500 has no leader" in text


@pytest.mark.parametrize(
    ("version", "sections", "message"),
    [
        ("1.6.3", {"vault": {"identity": "workload"}}, "vault.identity workload needs 1.7"),
        ("1.10.0", {}, "vault.identity policies needs 1.9 or older"),
        (
            "1.6.3",
            {"storage": {"kind": "dynamic", "nodeId": "53161eab-38a8-1cfc-fa95-d30f3186a051"}},
            "storage.kind dynamic needs 1.10",
        ),
    ],
)
def test_a_nomad_that_does_not_fit_the_settings_is_refused(report, version, sections, message):
    answer = {"status": 200, "body": {"config": {"Version": {"Version": version}}}}

    text = report({"nomad /v1/agent/self": answer}, sections=sections)

    assert f"is {version}, and {message}" in text


@pytest.mark.parametrize(
    ("version", "sections", "message"),
    [
        ("1.10.3", {"vault": {"identity": "workload"}}, "vault.identity workload needs 1.11"),
        ("1.10.3+ent", {"tls": {"mode": "registry"}}, "an authority of its own needs 1.11"),
    ],
)
def test_a_vault_that_does_not_fit_the_settings_is_refused(report, version, sections, message):
    text = report(vault_of(version), sections=sections)

    assert f"Vault at http://127.0.0.1:8200 is {version}, and {message}" in text


@pytest.mark.parametrize(
    ("version", "sections"),
    [("1.10.3", {}), ("1.21.0", {"tls": {"mode": "registry"}}), ("2.7.2", {"tls": {"mode": "registry"}})],
    ids=["old Vault", "Vault", "OpenBao"],
)
def test_a_vault_that_can_do_what_the_settings_ask_for_passes(servers, good, ready, version, sections):
    settings = ready(sections=sections)

    preflight(settings, servers(settings, {**good, **vault_of(version)}))


def vault_of(version):
    body = {"initialized": True, "sealed": False, "version": version}
    return {"vault /v1/sys/health": {"status": 200, "body": body}}


def test_a_consul_that_does_not_know_intentions_as_entries_is_refused(report):
    answer = {"consul /v1/agent/self": {"status": 200, "body": {"Config": {"Version": "1.8.19"}}}}

    assert "Consul at http://127.0.0.1:8500 is 1.8.19, and intentions" in report(answer)


def test_a_token_that_may_not_read_the_version_is_no_problem(servers, good, ready):
    settings = ready()
    answers = {**good, "nomad /v1/agent/self": {"status": 403, "body": "Permission denied"}}

    preflight(settings, servers(settings, answers))


def test_a_nomad_that_asks_for_a_token_names_the_setting(report):
    text = report({"nomad /v1/nodes": {"status": 403, "body": "Permission denied"}})

    assert "Nomad at http://127.0.0.1:4646 asks for a token: set nomad:secretId" in text


def test_a_namespace_that_does_not_exist_comes_with_the_command_that_makes_it(report):
    # Nomad 1.6.3's own words.
    words = '1 error occurred:\n\t* job "docker-registry" is in nonexistent namespace "apps"\n\n'
    answers = {"nomad /v1/job/docker-registry/plan": {"status": 500, "body": words}}

    text = report(answers, sections={"registry": {"namespace": "apps"}})

    assert "has no namespace apps: `nomad namespace apply apps`" in text


def test_a_datacenter_without_a_client_is_named_with_those_that_have_one(report):
    text = report(sections={"registry": {"datacenters": ["dc7", "dc8"]}})

    assert "has no client in dc7, dc8: its ready clients are in dc1" in text


def test_datacenters_may_be_patterns(servers, good, ready):
    settings = ready(sections={"registry": {"datacenters": ["dc*"]}})

    preflight(settings, servers(settings, good))


@pytest.mark.parametrize(
    ("allowed", "named"),
    [((False, True), "lacks service:write at"), ((True, False), "lacks intention:write at")],
)
def test_missing_consul_rights_are_named_with_the_rule_that_gives_them(report, allowed, named):
    body = [{"Allow": each} for each in allowed]
    answers = {"consul /v1/internal/acl/authorize": {"status": 200, "body": body}}

    text = report(answers, servers={"consul:token": "weak"})

    assert f"the token in consul:token {named} Consul at http://127.0.0.1:8500" in text
    assert 'service "registry" {\n  policy     = "write"\n  intentions = "write"\n}' in text


def test_a_consul_that_asks_for_a_token_names_the_setting(report):
    answers = {"consul /v1/internal/acl/authorize": {"status": 200, "body": [{"Allow": False}] * 2}}

    assert "Consul at http://127.0.0.1:8500 asks for a token: set consul:token" in report(answers)


@pytest.mark.parametrize(
    ("health", "message"),
    [
        ({"initialized": False, "sealed": True}, "is not initialised"),
        ({"initialized": True, "sealed": True}, "is sealed"),
    ],
)
def test_a_vault_that_is_closed_is_refused(report, health, message):
    text = report({"vault /v1/sys/health": {"status": 200, "body": health}})

    assert f"Vault at http://127.0.0.1:8200 {message}" in text


def test_a_missing_vault_token_is_named_with_the_way_to_set_it(report, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert "`pulumi config set --secret vault:token`" in report(servers={"vault:token": None})


def test_a_vault_provider_that_logs_in_needs_no_token(servers, good, ready, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = ready(servers={"vault:token": None, "vault:authLoginUserpass": "{}"})

    preflight(settings, servers(settings, good))


def test_a_token_that_vault_does_not_know_is_said_so_and_not_shown(report):
    refusal = {"status": 403, "body": {"errors": ["permission denied"]}}

    text = report({"vault /v1/sys/capabilities-self": refusal})

    assert "does not accept the token in vault:token" in text
    assert "hvs.secret-token" not in text


def granting(rights):
    """A Vault that grants these rights, and denies every other path."""

    def answer(request):
        paths = json.loads(request.content)["paths"]
        return {"status": 200, "body": {"data": {path: sorted(rights.get(path, {"deny"})) for path in paths}}}

    return {"vault /v1/sys/capabilities-self": answer}


def test_missing_vault_rights_are_named_as_the_policy_to_add(report):
    text = report(granting({"secret/data/docker-registry/http": {"create", "read", "update"}}))

    assert 'path "sys/policies/acl/docker-registry" {' in text
    assert 'capabilities = ["create", "delete", "read", "update"]' in text
    assert (
        'path "secret/metadata/docker-registry/users" {\n  capabilities = ["delete", "read", "update"]\n}'
        in text
    )
    assert "secret/data/docker-registry/http" not in text
    assert "without that right set vault:skipChildToken" in text


def test_with_skip_child_token_no_right_to_make_tokens_is_needed(servers, good, ready):
    settings = ready(servers={"vault:skipChildToken": "true"})
    rights = needed_rights(settings)

    assert "auth/token/create" not in rights
    preflight(settings, servers(settings, {**good, **granting(rights)}))


AUTHORITY = {"tls": {"mode": "registry", "authority": {"mount": "pki", "role": "web"}}}
PKI = {"vault /v1/sys/internal/ui/mounts/pki": {"status": 200, "body": {"data": {"type": "pki"}}}}


def test_an_authority_that_is_to_be_there_and_is_not_is_named(report):
    assert "has no PKI engine at pki/" in report(sections=AUTHORITY)
    assert "pki/ of Vault at http://127.0.0.1:8200 has no role web" in report(PKI, sections=AUTHORITY)


@pytest.mark.parametrize("status", [200, 403])
def test_a_role_that_is_there_or_cannot_be_looked_at_is_no_problem(servers, good, ready, status):
    settings = ready(sections=AUTHORITY)
    role = {"vault /v1/pki/roles/web": {"status": status, "body": {"data": {}}}}

    preflight(settings, servers(settings, {**good, **PKI, **role}))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"status": 403, "body": {"errors": ["preflight capability check returned 403"]}},
            "has no secret engine at secret/",
        ),
        ({"status": 200, "body": {"data": {"type": "kv", "options": {}}}}, "is no KV version 2"),
        ({"status": 200, "body": {"data": {"type": "cubbyhole", "options": None}}}, "is no KV version 2"),
    ],
)
def test_a_mount_without_kv_version_2_is_refused(report, answer, message):
    text = report({"vault /v1/sys/internal/ui/mounts/secret": answer})

    assert message in text
    assert "vault.mount" in text


def test_a_missing_login_backend_names_the_command_and_the_setting(report):
    answers = {"nomad /v1/agent/self": {"status": 200, "body": {"config": {"Version": {"Version": "1.9.0"}}}}}

    text = report(answers, sections={"vault": {"identity": "workload"}})

    assert "has no auth backend at jwt-nomad/" in text
    assert "vault.workload.createBackend" in text


def test_a_moved_path_is_refused_before_anything_changes(report):
    text = report(sections={"storage": {"path": "/srv/elsewhere"}})

    assert "offers the volume registry_data at /srv/registry_data" in text
    assert "cp -a /srv/registry_data/. /srv/elsewhere/" in text


def test_an_engine_of_somebody_elses_is_not_taken_for_the_stacks_own(report, servers, good, ready):
    own = {"tls": {"mode": "registry"}}
    path = "vault /v1/sys/internal/ui/mounts/docker-registry-pki"
    engine = {"type": "pki", "description": "ours"}

    text = report({path: {"status": 200, "body": {"data": engine}}}, sections=own)
    assert "has an engine at docker-registry-pki/ that is not this stack's" in text
    assert "tls.authority.role" in text

    engine["description"] = "Certificates of docker-registry"
    settings = ready(sections=own)
    preflight(settings, servers(settings, {**good, path: {"status": 200, "body": {"data": engine}}}))


@pytest.mark.parametrize(("count", "refused"), [(1, True), (2, False), (5, False), (6, True)])
def test_an_autoscaler_begins_within_its_bounds(servers, ready, good, count, refused):
    settings = ready(
        sections={
            "registry": {"count": 2, "redis": {"address": "redis.lan:6379"}, "scaling": {"min": 2, "max": 5}},
            "storage": {"driver": "s3", "s3": {"bucket": "images", "region": "any"}},
        }
    )
    running = {"Stop": False, "TaskGroups": [{"Name": "registry", "Count": count}]}
    answers = {**good, "nomad /v1/job/docker-registry": {"status": 200, "body": running}}

    found = problems(settings, servers(settings, answers).nomad)

    told = [each for each in found if f"has {count} instances" in each]
    assert bool(told) is refused
    assert all("deploy registry.count without registry.scaling first" in each for each in told)
