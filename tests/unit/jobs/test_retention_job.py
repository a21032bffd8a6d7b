import json

import pytest

from jobs.nomad import to_api
from jobs.retention import apply_job, before_collection, plan_job
from jobs.tasks.retention_rules import Rule

RULES = [{"repositories": ["ci/*"], "keepNewest": 10}]


@pytest.fixture
def jobs(read_settings):
    def make(rules=RULES, **sections):
        settings = read_settings(maintenance={"retention": {"rules": rules}}, **sections)
        return [to_api(each(settings, volume_source="registry_data")) for each in (plan_job, apply_job)]

    return make


def task(job, name="retention"):
    (group,) = job["TaskGroups"]
    return next(each for each in group["Tasks"] if each["Name"] == name)


def test_the_job_that_plans_cannot_write_to_the_volume_and_does_not_freeze(jobs):
    plan, _ = jobs()

    assert [each["Name"] for each in plan["TaskGroups"][0]["Tasks"]] == ["retention"]
    assert task(plan)["Env"]["MODE"] == "plan"
    assert task(plan)["VolumeMounts"] == [
        {"Volume": "registry_data", "Destination": "/var/lib/registry", "ReadOnly": True}
    ]


def test_the_job_that_removes_does_it_between_freeze_and_thaw(jobs):
    _, apply = jobs()

    hooks = {each["Name"]: each.get("Lifecycle", {}).get("Hook") for each in apply["TaskGroups"][0]["Tasks"]}
    assert hooks == {"freeze": "prestart", "retention": None, "thaw": "poststop"}
    assert task(apply)["Env"]["MODE"] == "apply"
    assert task(apply)["VolumeMounts"][0]["ReadOnly"] is False


def test_both_run_only_when_they_are_dispatched_and_can_be_told_what_was_shown(jobs):
    for job in jobs():
        assert job["ParameterizedJob"]["MetaOptional"] == ["at", "plan"]
        assert "Periodic" not in job


@pytest.mark.parametrize(
    ("retention", "tasks"),
    [(None, []), ({"rules": RULES}, []), ({"rules": RULES, "apply": True}, ["apply"])],
    ids=["no rules", "not asked for", "asked for"],
)
def test_it_runs_before_the_collection_only_where_the_stack_asks_for_it(read_settings, retention, tasks):
    settings = read_settings(maintenance={"retention": retention})

    assert [task.env["MODE"] for task in before_collection(settings)] == tasks


def test_the_script_is_the_volumes_owner_and_has_no_network_and_no_token(jobs):
    for job in jobs(storage={"owner": {"uid": 1026, "gid": 100}}):
        made = task(job)
        assert made["User"] == "1026:100"
        assert made["Config"]["network_mode"] == "none"
        assert "Vault" not in made and "Identity" not in made


def test_the_script_understands_the_rules(jobs):
    written = {
        "repositories": ["ci/*", "app"],
        "keepTags": ["v*"],
        "keepNewest": 10,
        "keepYoungerThan": "30d",
        "keepSemver": {"minors": 2},
    }
    plan, _ = jobs(rules=[written, {"repositories": ["x"], "keepYoungerThan": "1h30m"}])

    first, second = map(Rule.of, json.loads(task(plan)["Env"]["RULES"]))
    assert (first.repositories, first.keep_tags, first.keep_newest) == (("ci/*", "app"), ("v*",), 10)
    assert first.keep_younger_than == 30 * 86_400
    assert (first.keep_semver.minors, first.keep_semver.patches) == (2, 1)
    assert second.keep_younger_than == 5400
    assert second.keep_newest is None and second.keep_semver is None


def test_the_script_comes_with_all_that_it_imports(jobs):
    files = {each["DestPath"] for each in task(jobs()[0])["Templates"]}

    assert {f"local/jobs/tasks/{name}.py" for name in ("retention", "retention_plan", "store")} <= files


def test_another_stack_has_jobs_of_its_own(jobs):
    plan, apply = jobs(registry={"name": "staging", "namespace": "apps", "datacenters": ["nas"]})

    assert (plan["ID"], apply["ID"]) == ("staging-retention", "staging-retention-apply")
    assert (plan["Namespace"], plan["Datacenters"]) == ("apps", ["nas"])
    assert plan["TaskGroups"][0]["Volumes"].keys() == {"staging_data"}
