import json

import pytest

from checks.wanted import is_deployed, wanted_job

JOB = "/v1/job/docker-registry"
PLAN = f"{JOB}/plan"


@pytest.mark.parametrize(("diff", "deployed"), [("None", True), ("Edited", False), ("Added", False)])
def test_nomad_compares_the_stacks_job_with_the_one_that_it_has(servers, ready, diff, deployed):
    fields = [{"Type": diff, "Name": "Priority", "Old": "50", "New": "60"}]
    answer = {"status": 200, "body": {"Diff": {"Type": diff, "Fields": fields}}}

    assert is_deployed(servers(ready(), {PLAN: answer}).nomad, ready()) is deployed


@pytest.mark.parametrize(
    ("status", "deployed"), [(403, None), (500, False)], ids=["it may not plan", "Nomad refuses the job"]
)
def test_what_nomad_does_not_compare_is_known_only_if_the_token_may_plan(servers, ready, status, deployed):
    answer = {"status": status, "body": "no"}

    assert is_deployed(servers(ready(), {PLAN: answer}).nomad, ready()) is deployed


def test_a_scaling_policy_that_nomad_calls_edited_and_shows_as_the_same_is_no_difference(servers, ready):
    scaling = {"Type": "Edited", "Name": "Scaling", "Fields": None, "Objects": None}
    group = {"Type": "Edited", "Name": "registry", "Fields": None, "Objects": [scaling], "Tasks": None}
    answer = {"status": 200, "body": {"Diff": {"Type": "Edited", "Fields": None, "TaskGroups": [group]}}}

    assert is_deployed(servers(ready(), {PLAN: answer}).nomad, ready())


def test_the_job_reads_its_secrets_where_the_components_put_them(ready):
    task = wanted_job(ready()).task_groups[0].tasks[0]

    assert task.vault.policies == ("docker-registry",)
    assert any("secret/data/docker-registry/http" in template.data for template in task.templates)
    assert any("secret/data/docker-registry/users" in template.data for template in task.templates)


def test_a_number_that_an_autoscaler_chose_is_no_difference(servers, ready):
    planned = []

    def plan(request):
        planned.append(json.loads(request.content)["Job"]["TaskGroups"][0]["Count"])
        return {"status": 200, "body": {"Diff": {"Type": "None"}}}

    running = {"status": 200, "body": {"TaskGroups": [{"Name": "registry", "Count": 4}]}}
    settings = ready(
        sections={
            "registry": {"count": 2, "redis": {"address": "redis.lan:6379"}, "scaling": {"min": 2, "max": 5}},
            "storage": {"driver": "s3", "s3": {"bucket": "images", "region": "any"}},
        }
    )

    assert is_deployed(servers(settings, {PLAN: plan, JOB: running}).nomad, settings)
    assert planned == [4]
