import json
import socket
from dataclasses import replace

import pytest

from checks.dead_jobs import DeadJob
from ops.drift import deaths, drifts, lines
from ops.job_changes import JobChange
from ops.plan import as_markdown, as_text
from ops.preview import endpoints, resources
from ops.render import readable
from ops.stack import Deployed

NOMAD = "http://nas:4646"
JOB = json.dumps({"ID": "docker-registry", "Namespace": "default", "TaskGroups": []})


def urn(kind, name):
    return f"urn:pulumi:dev::docker-registry::homelab:registry:Parent${kind}::{name}"


def state(kind, inputs, outputs=None):
    return {"custom": True, "type": kind, "inputs": inputs, "outputs": outputs or inputs}


def steps(kind, name, *, deployed, live, wanted, operation, because=None):
    """What the engine says of one resource."""
    if deployed is not None:
        yield {"op": "refresh", "urn": urn(kind, name), "oldState": state(kind, deployed)}
    yield {
        "op": operation,
        "urn": urn(kind, name),
        "diffReasons": because,
        **({"oldState": state(kind, deployed, live)} if live is not None else {}),
        **({"newState": state(kind, wanted)} if wanted is not None else {}),
    }


def policy(deployed, live, wanted, operation="same", because=None):
    values = [None if text is None else {"policy": text} for text in (deployed, live, wanted)]
    names = dict(zip(("deployed", "live", "wanted"), values, strict=True))
    [found] = resources(
        list(steps("vault:index/policy:Policy", "access", operation=operation, because=because, **names))
    )
    return found


def job(live=JOB):
    values = {"deployed": {"jobspec": JOB}, "live": {"jobspec": live}, "wanted": {"jobspec": JOB}}
    [found] = resources(list(steps("nomad:index/job:Job", "registry-job", operation="same", **values)))
    return found


def test_a_component_is_no_resource_of_a_provider():
    component = {"custom": False, "type": "homelab:registry:RegistryJob"}

    assert not list(resources([{"op": "same", "urn": "urn::registry", "newState": component}]))


def test_what_is_as_deployed_neither_drifted_nor_changes():
    found = policy("a", "a", "a")

    assert (found.label, found.operation, found.drifted) == ("vault:Policy access", "same", ())
    assert not list(drifts("dev", NOMAD, [found], [], {}))


def test_what_somebody_changed_is_named_by_its_keys_alone_since_values_may_be_secret():
    found = policy("a", "secret of theirs", "a", "update", ["policy"])
    [drift] = drifts("dev", NOMAD, [found], [], {})

    assert (
        "".join(lines([drift])) == "vault:Policy access:  changed: policy  to mend it: pulumi up --stack dev"
    )


def test_what_the_stack_asks_for_and_is_not_deployed_is_no_drift_but_planned():
    found = policy("a", "a", "b", "update", ["policy"])

    assert not list(drifts("dev", NOMAD, [found], [], {}))
    assert list(as_text([found], [])) == ["update  vault:Policy access: policy"]


def test_of_what_changes_only_inputs_are_named():
    computed = {"allocationIds": ["1"], "modifyIndex": "17", "status": "running"}
    kind, inputs = "nomad:index/job:Job", {"jobspec": JOB}
    step = {
        "op": "update",
        "urn": urn(kind, "registry-job"),
        "diffReasons": ["allocationIds", "jobspec", "modifyIndex", "status"],
        "oldState": state(kind, inputs, {**inputs, **computed}),
        "newState": state(kind, inputs, {**inputs, **computed}),
    }

    assert list(as_text(list(resources([step])), [])) == ["update  nomad:Job registry-job: jobspec"]


def test_what_somebody_removed_is_gone():
    [drift] = drifts("dev", NOMAD, [policy("a", None, "a", "create")], [], {})

    assert (drift.what, drift.fix) == (("is gone",), "pulumi up --stack dev")


def secret(**inputs):
    kind = "vault:kv/secretV2:SecretV2"
    values = {"mount": "secret", "name": "docker-registry/users", "dataJson": '{"a": "b"}', **inputs}
    found = steps(kind, "access-users", deployed=values, live=values, wanted=values, operation="same")
    [resource] = resources(list(found))
    return resource


def test_a_secret_that_the_provider_does_not_read_is_written_again_by_its_replacement():
    found = secret()

    [drift] = drifts("dev", NOMAD, [found], [], {found.urn: "has other contents"})

    assert (drift.resource, drift.what) == ("vault:SecretV2 access-users", ("has other contents",))
    assert drift.fix == f"pulumi up --replace '{found.urn}' --stack dev", "`$` is in it"


def test_a_secret_that_a_job_writes_is_written_again_by_that_job():
    found = secret(disableRead=True)

    [drift] = drifts("dev", NOMAD, [found], [], {found.urn: "its newest version is deleted"})

    assert drift.fix == "python -m ops keys refresh --stack dev"


def test_a_dead_job_is_started_by_up():
    [drift] = deaths("dev", [DeadJob(job="docker-registry-gc", what="was stopped")], [])

    assert (drift.resource, drift.what) == ("job docker-registry-gc", ("was stopped",))
    assert drift.fix == "pulumi up --stack dev"


def test_what_else_was_changed_of_a_dead_job_is_told_too():
    change = JobChange(label="nomad:Job registry-job", job="docker-registry", lines=("-     Count: 0",))

    [drift] = deaths("dev", [DeadJob(job="docker-registry", what="is dead")], [change])

    assert drift.what == ("is dead", "-     Count: 0")


def test_what_the_stack_no_longer_has_is_to_go():
    assert policy("a", "a", None, "delete").wanted is None


@pytest.mark.parametrize(
    ("live", "fix"),
    [
        (
            JOB,
            "python -m ops render docker-registry --deployed --stack dev | "
            "nomad job run -address=http://nas:4646 -json -",
        ),
        ("their jobspec", "pulumi up --stack dev"),
    ],
    ids=["the provider sees no change", "the provider sees it"],
)
def test_a_job_that_differs_is_mended_by_what_makes_nomad_take_it_again(live, fix):
    change = JobChange(label="nomad:Job registry-job", job="docker-registry", lines=("  job …",))

    [drift] = drifts("dev", NOMAD, [job(live)], [change], {})

    assert (drift.what, drift.fix) == (change.lines, fix)


def test_a_replacement_is_one_change():
    kind, values = "nomad:index/job:Job", {"jobspec": JOB}
    told = [
        {
            "op": operation,
            "urn": urn(kind, "job"),
            "oldState": state(kind, values),
            "newState": state(kind, values),
        }
        for operation in ("create-replacement", "replace", "delete-replaced")
    ]

    assert [each.operation for each in resources(told)] == ["replace"]


def test_a_comment_has_the_changes_and_the_diff_of_each_job():
    change = JobChange(label="nomad:Job registry-job", job="docker-registry", lines=("- a", "+ b"))

    assert list(as_markdown("dev", [policy("a", "a", "b", "update", ["policy"])], [change])) == [
        "### Stack `dev`",
        "",
        "- **update** `vault:Policy access: policy`",
        "",
        "```diff",
        "- a",
        "+ b",
        "```",
    ]
    assert list(as_markdown("dev", [], []))[-1] == "Nothing changes."


def test_nothing_in_a_diff_or_a_name_ends_the_code_that_it_is_shown_as():
    change = JobChange(label="l", job="j", lines=("+ ```", "+ ````", "+ </details>"))
    found = replace(policy("a", "a", "b", "update"), name="``<b>", changed=("`x`",))

    told = list(as_markdown("dev", [found], [change]))

    assert told[2] == "- **update** ``` vault:Policy ``<b>: `x` ```"
    assert told[4:] == ["`````diff", *change.lines, "`````"]


def test_a_job_is_rendered_with_its_files_first():
    template = {"DestPath": "secrets/config.yml", "EmbeddedTmpl": "version: 0.1"}
    task = {"Name": "registry", "Templates": [template]}
    group = {"Name": "registry", "Tasks": [task]}

    told = list(readable({"ID": "docker-registry", "TaskGroups": [group]}))

    name = "docker-registry/registry/registry/secrets/config.yml"
    assert told[:3] == [f"# {name}", "version: 0.1", "# docker-registry"]
    assert f'"EmbeddedTmpl": "({name})"' in told[3]


@pytest.mark.parametrize("command", ["plan", "drift", "render"])
def test_servers_that_are_down_are_named_before_the_engine_is_asked(pulumi, ops, command):
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        servers = {f"{name}:address": address for name in ("nomad", "consul", "vault")}
        pulumi.configure({**servers, "vault:token": "s.token"})
        pulumi.export({"deployment": {"resources": None}})

        failure = ops(command).exception

    for name in ("Nomad", "Consul", "Vault"):
        assert f"{name} at {address} does not answer (connection refused): start it, or set" in str(failure)
    assert not [call for call in pulumi.calls if call["arguments"][0] == "preview"]


def test_where_the_last_deploy_found_its_servers_is_in_the_state():
    def provider(name, **inputs):
        return Deployed(urn=f"urn::{name}", type=f"pulumi:providers:{name}", inputs=inputs)

    deployed = [
        Deployed(urn="urn::stack", type="pulumi:pulumi:Stack", inputs={}),
        provider("nomad", address="http://old:4646", skipVerify=True),
        provider("vault", address="http://old:8200/", token="s.old"),
        provider("consul", version="3.15.1"),
        provider("command"),
    ]

    found = {each.name: each for each in endpoints(deployed, {"CONSUL_HTTP_ADDR": "consul:8500"})}

    assert found["Nomad"].address == "http://old:4646" and found["Nomad"].skip_verify
    assert (found["Vault"].address, found["Vault"].token) == ("http://old:8200", "s.old")
    assert found["Consul"].address == "http://consul:8500", "the provider takes it from the environment"
    assert len(found) == 3
