"""What maintenance leaves: a freeze that nobody ends, and work that was not done for too long."""

from collections.abc import Mapping

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.errors import AnswerError
from checks.freeze import held
from checks.servers import Server
from jobs.backup import drill_service, longest_gap
from jobs.scan import scan_service
from jobs.tasks.freeze_record import READ_ONLY, variable_of
from jobs.tasks.last_run import FAILED, SUCCEEDED

_DAY, _NANOSECONDS = 24 * 3600, 1_000_000_000


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
        if answer is None or answer.mode != READ_ONLY or _always_read_only(facts):
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
    maintenance, late = facts.settings.maintenance, {}
    schedules = {
        kind: (section.schedule, command)
        for kind, section, command in (
            ("gc", maintenance.garbage_collection, "gc --yes"),
            ("backup", maintenance.backup, "backup now"),
        )
        if section
    }
    for kind, (schedule, command) in schedules.items():
        if problem := _late(facts, kind, schedule):
            late[problem] = facts.ops(command)
    if not schedules:
        return not_looked_at("the stack has neither maintenance.garbageCollection nor maintenance.backup")
    if late:
        return warning("; ".join(late), "\n".join(late.values()))
    return ok(f"{' and '.join(schedules)} ran within the time of their schedules, or are not due yet")


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
    bad = {}
    for service, command in services.items():
        checks = facts.servers.consul.get(f"/v1/health/checks/{service}")
        if not checks:
            bad[f"{service} has not reported yet"] = facts.ops(command if command != "scan" else "scan --now")
        elif checks[0]["Status"] != "passing":
            told = checks[0]["Output"].strip().splitlines() or [checks[0]["Status"]]
            bad[f"{service}: {told[0]}"] = facts.ops(command)
    if not services:
        return not_looked_at("the stack has neither maintenance.backup nor maintenance.scan")
    if bad:
        return warning("; ".join(bad), "\n".join(bad.values()))
    return ok(f"{' and '.join(services)} reported well")


CHECKS = (takes_pushes, maintenance_done, reports_good)


def _always_read_only(facts: Facts) -> bool:
    maintenance = facts.settings.registry_config["storage"].get("maintenance") or {}
    return bool((maintenance.get("readonly") or {}).get("enabled"))


def _late(facts: Facts, kind: str, schedule: str) -> str | None:
    """Say it if a job failed last or is late, by what it recorded in its own Nomad variable."""
    nomad, namespace = facts.servers.nomad, facts.settings.registry.namespace
    name = facts.settings.maintenance_job(kind)
    try:
        job = nomad.get(f"/v1/job/{name}", namespace=namespace)
    except AnswerError as error:
        if error.status == 404:
            return f"Nomad has no job {name}"
        raise
    items = _items(nomad, name, namespace)
    good, bad = (int(items.get(key, 0)) for key in (SUCCEEDED, FAILED))
    if bad > good:
        return f"the last run of {name} failed, {_ago(facts, bad)}"
    # Before its first run it has as long, from when it was deployed.
    since = good or job["SubmitTime"] / _NANOSECONDS
    if facts.clock() - since > longest_gap(schedule) * _DAY:
        return f"{name} last went well {_ago(facts, good)}" if good else f"{name} never went well"
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
    days = (facts.clock() - moment) / _DAY
    return f"{days:.0f} days ago" if days >= 2 else f"{24 * days:.0f} hours ago"
