"""What maintenance leaves: a freeze that nobody ends, and work that was not done for too long."""

from collections.abc import Mapping
from dataclasses import dataclass

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.errors import AnswerError
from checks.freeze import held
from checks.servers import Server
from checks.status import find_instances
from jobs.backup import drill_service, longest_gap
from jobs.scan import scan_service
from jobs.tasks.freeze_record import READ_ONLY, variable_of
from jobs.tasks.last_run import FAILED, SUCCEEDED

_HOUR, _DAY, _NANOSECONDS = 3600, 24 * 3600, 1_000_000_000
_REPORTED = "reported"  # metadata of the service in Consul: jobs/tasks/consul_check.py


def takes_pushes(facts: Facts) -> Finding:
    """The registry takes pushes.

    Symptom: Pushes get 405, "Method not allowed"; pulls work.

    Cause: A maintenance job that was cut off left the registry read-only, or somebody made it so by hand; or
    the registry did not notice that it may take them again.

    Fix: `python -m ops thaw --yes`; if nobody holds it, `nomad alloc restart ID`.
    """
    registry = facts.settings.registry.name
    hold = held(facts.servers.nomad, facts.settings)
    if hold is None:
        answer = facts.answer()
        if answer is None or answer.mode != READ_ONLY or always_read_only(facts):
            return ok(f"nobody holds {registry} read-only")
        # Nomad drops a template's restart now and then: jobs/tasks/registry_mode.py.
        allocation = facts.allocation()
        fix = facts.nomad("alloc restart", allocation["ID"]) if allocation else facts.why
        return failure(f"nobody holds {registry} read-only, and yet it is", fix)
    since = f" since {hold.since}" if hold.since else ""
    if hold.owner_lives:
        return ok(f"{registry} is read-only{since} for {hold.job}, which works")
    if hold.owner_lives is None:
        return warning(f"{registry} is read-only{since}, by hand", facts.ops("thaw --yes"))
    return failure(f"{registry} is read-only{since} for {hold.job}, which has ended", facts.ops("thaw --yes"))


def maintenance_done(facts: Facts) -> Finding:
    """Garbage collection and backups ran when they were due, and well.

    Symptom: The disk fills up; or the newest backup is old when it is needed.

    Cause: Runs fail, or wait for a registry that somebody froze, or Nomad has no place for them.

    Fix: `python -m ops gc`, `python -m ops backup now`: each tells why it fails.
    """
    maintenance, late, well = facts.settings.maintenance, {}, []
    schedules = {
        kind: (section.schedule, command)
        for kind, section, command in (
            ("gc", maintenance.garbage_collection, "gc --yes"),
            ("backup", maintenance.backup, "backup now"),
        )
        if section
    }
    for kind, (schedule, command) in schedules.items():
        runs = _runs(facts, facts.settings.maintenance_job(kind))
        if problem := _late(facts, runs, schedule):
            late[problem] = facts.ops(command)
        else:
            ran = f"ran {_ago(facts, runs.good)}" if runs.good else "is not due yet"
            well.append(f"{kind} {ran}")
    if not schedules:
        return not_looked_at("the stack has neither maintenance.garbageCollection nor maintenance.backup")
    if late:
        return warning("; ".join([*late, *well]), "\n".join(late.values()))
    return ok("; ".join(well))


def reports_good(facts: Facts) -> Finding:
    """The last drill of the backups and the last scan went well, and not too long ago.

    Symptom: None, until a backup is needed.

    Cause: The newest snapshot cannot be restored, an image has vulnerabilities, or the job has not run for
    too long.

    Fix: `python -m ops backup verify`, `python -m ops scan`: each tells what it found.
    """
    settings = facts.settings
    services = {
        service: command
        for section, service, command in (
            (settings.maintenance.backup, drill_service(settings), "backup verify"),
            (settings.maintenance.scan, scan_service(settings), "scan"),
        )
        if section
    }
    bad, well = {}, []
    for service, command in services.items():
        instances = find_instances(facts.servers.consul, service)
        if not instances:
            bad[f"{service} has not reported yet"] = facts.ops(command if command != "scan" else "scan --now")
            continue
        at = (instances[0]["Service"]["Meta"] or {}).get(_REPORTED)
        when = f", {_ago(facts, int(at))}" if at else ""
        [check] = (each for each in instances[0]["Checks"] if each["ServiceName"] == service)
        if check["Status"] == "passing":
            well.append(f"{service} reported well{when}")
        else:
            told = check["Output"].strip().splitlines() or [check["Status"]]
            bad[f"{service}: {told[0]}"] = facts.ops(command)
    if not services:
        return not_looked_at("the stack has neither maintenance.backup nor maintenance.scan")
    if bad:
        return warning("; ".join([*bad, *well]), "\n".join(bad.values()))
    return ok("; ".join(well))


CHECKS = (takes_pushes, maintenance_done, reports_good)


def always_read_only(facts: Facts) -> bool:
    """Whether the stack says so itself."""
    maintenance = facts.settings.registry_config["storage"].get("maintenance") or {}
    return bool((maintenance.get("readonly") or {}).get("enabled"))


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """When a job last ran well and badly, by what it recorded in its own Nomad variable; Unix times."""

    job: str
    deployed: float | None  # None: Nomad has no such job
    good: int  # 0: never
    bad: int


def _runs(facts: Facts, name: str) -> _Runs:
    nomad, namespace = facts.servers.nomad, facts.settings.registry.namespace
    try:
        job = nomad.get(f"/v1/job/{name}", namespace=namespace)
    except AnswerError as error:
        if error.status == 404:
            return _Runs(job=name, deployed=None, good=0, bad=0)
        raise
    items = _items(nomad, name, namespace)
    good, bad = (int(items.get(key, 0)) for key in (SUCCEEDED, FAILED))
    return _Runs(job=name, deployed=job["SubmitTime"] / _NANOSECONDS, good=good, bad=bad)


def _late(facts: Facts, runs: _Runs, schedule: str) -> str | None:
    """Say it if a job failed last or is late."""
    if runs.deployed is None:
        return f"Nomad has no job {runs.job}"
    if runs.bad > runs.good:
        return f"the last run of {runs.job} failed, {_ago(facts, runs.bad)}"
    # Before its first run it has as long, from when it was deployed.
    if facts.clock() - (runs.good or runs.deployed) > longest_gap(schedule) * _DAY:
        when = _ago(facts, runs.good)
        return f"{runs.job} last went well {when}" if runs.good else f"{runs.job} never went well"
    return None


def _items(nomad: Server, job: str, namespace: str) -> Mapping[str, str]:
    try:
        found: Mapping[str, str] = nomad.get(variable_of(job), namespace=namespace)["Items"]
    except AnswerError as error:
        if error.status == 404:
            return {}
        raise
    return found


def _ago(facts: Facts, moment: int) -> str:
    seconds = facts.clock() - moment
    if seconds >= 2 * _DAY:
        return f"{seconds / _DAY:.0f} days ago"
    if seconds >= 2 * _HOUR:
        return f"{seconds / _HOUR:.0f} hours ago"
    return f"{max(seconds, 0) / 60:.0f} minutes ago"
