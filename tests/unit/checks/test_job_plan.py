import pytest

from checks.job_plan import job_plan

JOB = {"ID": "docker-registry", "Namespace": "default", "TaskGroups": [{"Name": "registry"}]}
NONE = {"Type": "None", "Name": "Count", "Old": "2", "New": "2"}
EDITED = {"Type": "Edited", "Name": "Max", "Old": "4", "New": "5"}


def planned(servers, ready, *, fields, scaling):
    """Nomad's answer for a group with these fields, and a scaling policy with those."""
    policy = {"Type": "Edited", "Name": "Policy", "Fields": None, "Objects": None}
    objects = [{"Type": "Edited", "Name": "Scaling", "Fields": scaling, "Objects": [policy]}]
    group = {"Type": "Edited", "Name": "registry", "Fields": fields, "Objects": objects, "Tasks": None}
    diff = {"Type": "Edited", "ID": "docker-registry", "Fields": None, "TaskGroups": [group]}
    answer = {"status": 200, "body": {"Diff": diff, "JobModifyIndex": 7}}
    return job_plan(servers(ready(), {"/v1/job/docker-registry/plan": answer}).nomad, JOB)


@pytest.mark.parametrize("fields", [None, [], [NONE]], ids=["none", "empty", "the same"])
def test_an_edit_without_content_is_none(servers, ready, fields):
    plan = planned(servers, ready, fields=fields, scaling=fields)

    [group] = plan["Diff"]["TaskGroups"]
    assert (plan["Diff"]["Type"], group["Type"], group["Objects"][0]["Type"]) == ("None",) * 3
    assert plan["JobModifyIndex"] == 7


def test_an_edit_beside_one_without_content_is_kept(servers, ready):
    plan = planned(servers, ready, fields=[NONE], scaling=[EDITED])

    [group] = plan["Diff"]["TaskGroups"]
    assert (plan["Diff"]["Type"], group["Type"], group["Objects"][0]["Type"]) == ("Edited",) * 3
    assert group["Objects"][0]["Objects"][0]["Type"] == "None"


def test_what_is_added_counts_also_without_content(servers, ready):
    answer = {"status": 200, "body": {"Diff": {"Type": "Added", "ID": "docker-registry"}}}

    plan = job_plan(servers(ready(), {"/v1/job/docker-registry/plan": answer}).nomad, JOB)

    assert plan["Diff"]["Type"] == "Added"
