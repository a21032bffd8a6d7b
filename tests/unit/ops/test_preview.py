import json
from dataclasses import replace

import pytest

from ops.drift import drifts, lines
from ops.job_changes import JobChange
from ops.plan import as_markdown, as_text
from ops.preview import resources
from ops.render import readable

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
    assert not list(drifts("dev", NOMAD, [found], []))


def test_what_somebody_changed_is_named_by_its_keys_alone_since_values_may_be_secret():
    [drift] = drifts("dev", NOMAD, [policy("a", "secret of theirs", "a", "update", ["policy"])], [])

    assert (
        "".join(lines([drift])) == "vault:Policy access:  changed: policy  to mend it: pulumi up --stack dev"
    )


def test_what_the_stack_asks_for_and_is_not_deployed_is_no_drift_but_planned():
    found = policy("a", "a", "b", "update", ["policy"])

    assert not list(drifts("dev", NOMAD, [found], []))
    assert list(as_text([found], [])) == ["update  vault:Policy access: policy"]


def test_what_somebody_removed_is_gone():
    [drift] = drifts("dev", NOMAD, [policy("a", None, "a", "create")], [])

    assert (drift.what, drift.fix) == (("is gone",), "pulumi up --stack dev")


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

    [drift] = drifts("dev", NOMAD, [job(live)], [change])

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
    found = replace(policy("a", "a", "b", "update", ["`x`"]), name="``<b>")

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
