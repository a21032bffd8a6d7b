"""The registry's Nomad job: whether it runs, in the version that was asked for, and stays up."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.status import last_deployment
from checks.task_events import reason
from checks.wanted import is_deployed
from checks.why import Why

_RECENT_SECONDS = 24 * 3600
_NANOSECONDS = 1_000_000_000


def job_deployed(facts: Facts) -> Finding:
    """The job is in Nomad, not stopped and not dead.

    Symptom: Connection refused on the registry's port; Traefik answers 404.

    Cause: It was never deployed, somebody stopped it (`nomad job stop`), or its first deploy failed.

    Fix: `pulumi up`
    """
    job, name = facts.job(), facts.settings.registry.name
    if job is None:
        return failure(f"Nomad at {facts.servers.nomad.address} has no job {name}", facts.up)
    if job["Stop"]:
        return failure(f"job {name} was stopped", facts.up)
    if dead := [each for each in facts.dead_jobs() if each.job == name]:
        return failure(str(dead[0]), facts.up)
    return ok(f"job {name} version {job['Version']} is {job['Status']}")


def allocation_runs(facts: Facts) -> Finding:
    """Its allocation runs.

    Symptom: Connection refused on the registry's port; Traefik answers 502 or 404.

    Cause: Nomad finds no place for it (a port, memory, the volume), its image cannot be pulled, Vault gives
    it no secret, or the registry dies of its configuration.

    Fix: `python -m ops why` tells Nomad's reasons; then `pulumi up`.
    """
    job = facts.job()
    if job is None or job["Stop"]:
        return not_looked_at("there is no job that is to run")
    if not facts.runs:
        found = facts.reasons()
        return failure("; ".join(_reasons(found)), facts.why)
    allocation = facts.allocation() or {}
    return ok(f"allocation {allocation['ID'][:8]} runs on {allocation['NodeName']}")


def deployment_succeeded(facts: Facts) -> Finding:
    """The last version that was submitted is the one that runs.

    Symptom: A setting that was changed has no effect.

    Cause: The new version did not become healthy, and Nomad went back to the last good one.

    Fix: `python -m ops why` tells what it died of, and the command that tries it again.
    """
    if facts.job() is None:
        return not_looked_at("there is no job")
    deployment = last_deployment(facts.servers.nomad, facts.settings)
    if deployment and deployment.state == "running":
        return warning(f"version {deployment.version} is being deployed: {deployment.description}", facts.why)
    found = facts.reasons()
    if found.reverted:
        was = f"version {found.reverted.running} runs, and {found.reverted.submitted} was submitted last"
        return warning(was, f"{facts.why}\n{found.reverted.retry}")
    if deployment and deployment.state == "failed":
        return failure(f"version {deployment.version}: {deployment.description}", facts.why)
    return ok(f"version {deployment.version}: {deployment.description}" if deployment else "no deployment")


def job_as_wanted(facts: Facts) -> Finding:
    """The job is the one that the stack's settings describe.

    Symptom: `pulumi preview` shows no change, and the job has other settings than the stack.

    Cause: The settings were not deployed yet, or somebody changed the job by other means.

    Fix: `pulumi up`; if that changes nothing, `python -m ops drift` names what does.
    """
    if facts.job() is None:
        return not_looked_at("there is no job")
    nomad, namespace = facts.servers.nomad, facts.settings.registry.namespace
    deployed = is_deployed(nomad, facts.settings)
    if deployed is None:
        need = f'`submit-job` in namespace "{namespace}"'
        return not_looked_at(f"the token in {nomad.token_setting} may not plan: it needs {need}")
    if deployed:
        return ok("the job is as the settings say")
    more = f"{facts.ops('drift')}   # what pulumi does not see, and what mends that"
    return warning("the job is not as the settings say", f"{facts.up}\n{more}")


def task_stays_up(facts: Facts) -> Finding:
    """The registry's task did not die lately.

    Symptom: Pushes and pulls break off now and then.

    Cause: The registry ran out of memory, or died of an error; Nomad started it again.

    Fix: out of memory: `pulumi config set --path docker-registry:registry.memory 1024` and `pulumi up`;
    else `nomad alloc logs -stderr -job docker-registry` has its last words.
    """
    allocation = facts.allocation()
    if allocation is None:
        return not_looked_at("there is no allocation")
    ends = [each for each in _ends(allocation) if each["Time"] > _since(facts)]
    if not ends:
        return ok("it did not die within a day")
    last = ends[-1]
    when = f"{datetime.fromtimestamp(last['Time'] / _NANOSECONDS, UTC):%Y-%m-%d %H:%M} UTC"
    times = "once" if len(ends) == 1 else f"{len(ends)} times"
    what = f"the task died {times} within a day, last at {when}: {last['DisplayMessage']}"
    if last["Details"].get("oom_killed") == "true":
        memory = 2 * facts.settings.registry.memory
        return warning(f"{what} (out of memory)", f"{facts.set('registry.memory', memory)}\n{facts.up}")
    return warning(what, facts.nomad("alloc logs -stderr", allocation["ID"]))


def jobs_live(facts: Facts) -> Finding:
    """No other job of the stack is dead.

    Symptom: Collections, backups or scans do not happen, or a mirror or the exporter does not answer.

    Cause: Somebody stopped the job (`nomad job stop`), or it failed when it was deployed: Nomad starts
    nothing of a failed deployment again by itself.

    Fix: `pulumi up` starts it anew.
    """
    dead = [each for each in facts.dead_jobs() if each.job != facts.settings.registry.name]
    if dead:
        return failure("; ".join(map(str, dead)), facts.up)
    return ok("no other job of the stack is dead")


def node_takes_work(facts: Facts) -> Finding:
    """A machine that may run the registry takes work from Nomad.

    Symptom: After an update or a reboot the job stays `pending`.

    Cause: The Nomad client with the volume is down, or was drained before the update and not enabled again.

    Fix: `systemctl start nomad` on that machine, or `nomad node eligibility -enable ID`.
    """
    volume, nomad = facts.settings.mounted_volume, facts.servers.nomad
    homes = [node for node in nomad.get("/v1/nodes") if volume in (None, *(node["HostVolumes"] or {}))]
    if not homes:
        return not_looked_at(f"no Nomad client offers the volume {volume}")
    if ready := [node["Name"] for node in homes if _takes_work(node)]:
        return ok(f"{', '.join(ready)} takes work")
    node = homes[0]
    if node["Status"] != "ready":
        what, fix = f"the Nomad client on {node['Name']} is {node['Status']}", "systemctl start nomad"
        return failure(what, f"{fix}   # on {node['Name']}")
    what = f"{node['Name']} is not eligible for work: the job would not start there again"
    return warning(what, f"nomad node eligibility -address={nomad.address} -enable {node['ID']}")


CHECKS = (
    job_deployed,
    allocation_runs,
    deployment_succeeded,
    job_as_wanted,
    task_stays_up,
    jobs_live,
    node_takes_work,
)


def _takes_work(node: Mapping[str, Any]) -> bool:
    return bool(node["Status"] == "ready" and node["SchedulingEligibility"] == "eligible")


def _reasons(found: Why) -> Iterator[str]:
    """Tell the most telling words of each kind."""
    yield found.summary
    yield from found.placement[:2]
    for each in found.failures[:1]:
        if told := reason(each.events):
            yield told
        yield from (each.stderr or each.stdout)[-1:]


def _ends(allocation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give the ends of its tasks that nobody asked for, the oldest first."""
    for state in (allocation["TaskStates"] or {}).values():
        asked = True  # Nomad keeps the last ten events: of an end that comes first, nobody knows
        for event in state["Events"] or ():
            # What Nomad ends itself, as for a changed template, has one of these before it.
            if event["Type"] in ("Restart Signaled", "Killing", "Signaling"):
                asked = True
            elif event["Type"] == "Started":
                asked = False
            elif event["Type"] == "Terminated" and not asked and event["Details"].get("exit_code") != "0":
                yield event


def _since(facts: Facts) -> int:
    return int((facts.clock() - _RECENT_SECONDS) * _NANOSECONDS)
