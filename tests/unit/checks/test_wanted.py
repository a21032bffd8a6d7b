import pytest

from checks.wanted import is_deployed, wanted_job

PLAN = "/v1/job/docker-registry/plan"


@pytest.mark.parametrize(("diff", "deployed"), [("None", True), ("Edited", False), ("Added", False)])
def test_nomad_compares_the_stacks_job_with_the_one_that_it_has(servers, ready, diff, deployed):
    answer = {"status": 200, "body": {"Diff": {"Type": diff}}}

    assert is_deployed(servers(ready(), {PLAN: answer}).nomad, ready()) is deployed


def test_a_token_that_may_not_plan_counts_as_another_job(servers, ready):
    answer = {"status": 403, "body": "Permission denied"}

    assert not is_deployed(servers(ready(), {PLAN: answer}).nomad, ready())


def test_the_job_reads_its_secrets_where_the_components_put_them(ready):
    task = wanted_job(ready()).task_groups[0].tasks[0]

    assert task.vault.policies == ("docker-registry",)
    assert any("secret/data/docker-registry/http" in template.data for template in task.templates)
    assert any("secret/data/docker-registry/users" in template.data for template in task.templates)
