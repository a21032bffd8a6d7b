"""The local nomad plugin against a real Nomad, driven by the real engine."""

import json
import re

import httpx
import pulumi
import pulumi_nomad as nomad
import pytest
from plugin_harness import Trial
from waiting import until

SECOND = 10**9  # Nomad's durations are in nanoseconds


def jobspec(name="plugin-web", command="sleep 600", **task):
    """A service that is healthy when its task stays up for a second."""
    return {
        "ID": name,
        "Name": name,
        "Type": "service",
        "Datacenters": ["*"],
        "Update": {
            "MaxParallel": 1,
            "HealthCheck": "task_states",
            "MinHealthyTime": SECOND,
            "HealthyDeadline": 90 * SECOND,
            "ProgressDeadline": 100 * SECOND,
            "AutoRevert": True,
        },
        "TaskGroups": [
            {
                "Name": "web",
                "Count": 1,
                "RestartPolicy": {"Attempts": 0, "Interval": 60 * SECOND, "Delay": SECOND, "Mode": "fail"},
                "ReschedulePolicy": {"Attempts": 0, "Unlimited": False},
                "Tasks": [
                    {
                        "Name": "web",
                        "Driver": "raw_exec",
                        "Config": {"command": "/bin/sh", "args": ["-c", command]},
                        "Resources": {"CPU": 20, "MemoryMB": 20},
                        "KillSignal": "SIGTERM",
                        "KillTimeout": SECOND,
                        **task,
                    }
                ],
            }
        ],
    }


def job(spec, resource="web", import_=None, text=None, timeout="180s", **properties):
    def program():
        made = nomad.Job(
            resource,
            jobspec=text or json.dumps(spec),
            **{"json": True, "detach": False, "purge_on_destroy": True, "rerun_if_dead": True, **properties},
            opts=pulumi.ResourceOptions(
                import_=import_, custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout)
            ),
        )
        for output in ("name", "namespace", "type", "status", "deployment_status", "modify_index"):
            pulumi.export(output, getattr(made, output))

    return program


@pytest.fixture(scope="module")
def api(cluster):
    with httpx.Client(base_url=f"{cluster.nomad_address}/v1", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def stack(cluster, api, tmp_path_factory):
    """A new stack by name; whatever jobs a test leaves are purged."""
    yield lambda name: Trial(f"nomad-{name}", tmp_path_factory.mktemp("nomad") / "state", cluster.env)
    for left in api.get("/jobs", params={"prefix": "plugin-"}).json():
        api.delete(f"/job/{left['ID']}", params={"purge": "true"})


@pytest.fixture(scope="module")
def seen(stack, api):
    """One stack lives through everything; the tests look at what was seen on the way."""

    def running(name="plugin-web"):
        answer = api.get(f"/job/{name}")
        return answer.json() if answer.status_code == 200 else None

    web = jobspec()
    trial = stack("web")
    seen = {"planned": trial.preview(job(web)), "created": trial.up(job(web))}
    seen["job"], seen["outputs"] = running(), {key: value.value for key, value in trial.outputs().items()}
    seen["submission"] = api.get("/job/plugin-web/submission", params={"version": 0}).json()
    laid_out = json.dumps({"Job": {**web, "Region": None}}, indent=4)
    seen["again"] = trial.preview(job(web, text=laid_out), refresh=True)

    newcomer = stack("import")
    newcomer.up(
        job(web, import_="plugin-web@default", purge_on_destroy=None, detach=None, rerun_if_dead=None)
    )
    seen["imported"] = newcomer.preview(job(web, purge_on_destroy=None, detach=None, rerun_if_dead=None))

    bigger = jobspec(Resources={"CPU": 20, "MemoryMB": 30})
    inspected = {**running(), "Meta": {"by": "hand"}}  # inspected, edited, and run again without its source
    api.put("/jobs", json={"Job": inspected}).raise_for_status()
    seen["unrefreshed"] = trial.failure("preview", job(bigger))
    seen["unseen"] = trial.preview(job(web), refresh=True)

    seen["updated"] = trial.up(job(bigger), refresh=True)
    seen["new job"] = running()
    submission = {"Source": json.dumps(web), "Format": "json"}
    api.put("/jobs", json={"Job": web, "Submission": submission}).raise_for_status()
    seen["drift"] = trial.preview(job(bigger), refresh=True)

    api.delete("/job/plugin-web")  # stopped, not purged
    until(lambda: running()["Status"] == "dead")
    seen["dead"] = trial.up(job(bigger), refresh=True)
    seen["rerun"] = running()
    api.delete("/job/plugin-web", params={"purge": "true"})
    seen["gone"] = trial.up(job(web), refresh=True)

    seen["renamed"] = trial.up(job(jobspec("plugin-api")))
    seen["old"], seen["new"] = running(), running("plugin-api")
    seen["wrong"] = trial.failure("preview", job(None, text="{}"))
    seen["destroyed"], seen["after"] = trial.destroy(), running("plugin-api")
    return seen


def test_preview_tells_what_the_jobspec_says(seen):
    assert seen["planned"].operations == {"web": "create"}


def test_up_waits_for_the_deployment_to_succeed(seen):
    assert seen["created"].operations == {"web": "create"}
    assert seen["job"]["Status"] == "running"
    assert seen["outputs"] == {
        "name": "plugin-web",
        "namespace": "default",
        "type": "service",
        "status": "running",
        "deployment_status": "successful",
        "modify_index": str(seen["job"]["JobModifyIndex"]),
    }


def test_the_jobspec_is_stored_as_the_submission(seen):
    assert json.loads(seen["submission"]["Source"])["ID"] == "plugin-web"
    assert seen["submission"]["Format"] == "json"


def test_another_layout_of_the_same_job_is_no_change(seen):
    assert seen["again"].operations == {}


def test_a_job_is_imported_by_name_and_namespace(seen):
    assert seen["imported"].operations == {}


def test_a_changed_jobspec_makes_the_next_version(seen):
    assert seen["updated"].operations == {"web": "update"}
    assert seen["new job"]["Version"] == 2
    assert seen["new job"]["TaskGroups"][0]["Tasks"][0]["Resources"]["MemoryMB"] == 30


def test_a_changed_jobspec_lists_what_nomad_computes_anew_as_changes_too(seen):
    computed = ["allocationIds", "modifyIndex", "region", "status"]
    assert seen["updated"].paths == {"web": sorted([*computed, "jobspec"])}


def test_a_job_changed_behind_pulumi_stops_an_update_until_refresh(seen):
    assert "job modify index has changed since last refresh" in seen["unrefreshed"]


def test_refresh_sees_only_a_change_that_was_submitted_with_its_source(seen):
    assert seen["unseen"].operations == {}
    assert seen["drift"].operations == {"web": "update"}


def test_a_stopped_job_runs_again(seen):
    assert seen["dead"].operations == {"web": "update"}
    assert seen["rerun"]["Status"] == "running"


def test_a_purged_job_is_created_again(seen):
    assert seen["gone"].operations == {"web": "create"}


def test_another_name_replaces_the_job(seen):
    assert seen["renamed"].operations == {"web": "replace"}
    assert seen["old"] is None
    assert seen["new"]["Status"] == "running"


def test_a_jobspec_that_is_no_job_is_refused_at_preview(seen):
    assert "not a valid Nomad jobspec" in seen["wrong"]


def test_destroy_purges_the_job(seen):
    assert seen["destroyed"].operations == {"web": "delete"}
    assert seen["after"] is None


def test_a_failed_update_is_reverted_reported_and_mended_by_the_next_up(stack, api):
    trial = stack("revert")
    trial.up(job(jobspec("plugin-revert")))
    failed = trial.failure("up", job(jobspec("plugin-revert", "exit 3")))
    assert "error waiting for job 'plugin-revert' to schedule/deploy successfully: deployment '" in failed
    assert "terminated with status 'failed'" in failed
    assert "rolling back to job version 0" in failed
    assert "plugin-revert" in trial.state()["web"]["outputs"]["name"]

    mended = trial.up(job(jobspec("plugin-revert", "sleep 700")), refresh=True)
    assert mended.operations == {"web": "update"}
    assert api.get("/job/plugin-revert").json()["Status"] == "running"
    trial.destroy()


def test_what_failed_is_not_started_by_the_same_jobspec_but_by_one_with_a_mark(stack, api, tmp_path):
    trial, there = stack("given-up"), tmp_path / "there"
    spec = jobspec("plugin-given-up", f"test -e {there} && sleep 600")
    spec["Update"]["ProgressDeadline"] = 0
    first = trial.failure("up", job(spec))
    there.touch()

    again = trial.failure("up", job(spec), refresh=True)

    ended = r"deployment '([0-9a-f-]+)' terminated with status 'failed'"
    [deployment] = set(re.findall(ended, first))
    assert set(re.findall(ended, again)) == {deployment}, "the second one tells how the first one ended"
    spec["TaskGroups"][0]["Meta"] = {"started_after": "the first deployment"}
    assert trial.up(job(spec), refresh=True).operations == {"web": "update"}
    assert api.get("/job/plugin-given-up").json()["Status"] == "running"
    trial.destroy()


def test_an_update_is_refused_if_the_job_is_not_the_one_that_was_read(stack, api):
    trial, spec = stack("enforced"), jobspec("plugin-enforced")
    trial.up(job(spec))
    api.delete("/job/plugin-enforced")
    until(lambda: api.get("/job/plugin-enforced").json()["Status"] == "dead")
    trial.refresh()
    api.put("/jobs", json={"Job": {**spec, "Meta": {"by": "hand"}}}).raise_for_status()

    assert "Enforcing job modify index" in trial.failure("up", job(spec))
    trial.destroy()


def test_a_creation_that_times_out_stays_in_the_state_so_that_the_next_up_mends_it(stack):
    trial = stack("unplaceable")
    nowhere = {**jobspec("plugin-nowhere"), "Datacenters": ["nowhere"]}
    failed = trial.failure("up", job(nowhere, timeout="2s"))
    assert "timeout while waiting for state to become deployment_successful (timeout: 2s)" in failed
    assert trial.state()["web"]["initErrors"]

    assert trial.up(job(jobspec("plugin-nowhere"))).operations == {"web": "update"}
    assert "initErrors" not in trial.state()["web"]
    trial.destroy()


def test_a_jobspec_in_hcl_is_parsed_by_nomad(stack):
    hcl = """
        job "plugin-hcl" {
          type = "batch"
          group "g" {
            task "t" {
              driver = "raw_exec"
              config {
                command = "/bin/true"
              }
            }
          }
        }"""
    trial = stack("hcl")
    trial.up(job(None, text=hcl, json=False, rerun_if_dead=False))
    assert trial.outputs()["type"].value == "batch"
    same = job(None, text="# a comment\n" + hcl, json=False, rerun_if_dead=False)
    assert trial.preview(same).operations == {}
    trial.destroy()
