"""The mirrors: whether they serve, reach what they mirror, and keep within their sizes."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.doctor.service import job_fix
from checks.proxies import EnvironmentTransport
from checks.status import find_instances, service_state, worst_answer
from checks.task_log import task_lines
from checks.upstreams import problems
from config.sections.mirrors import Mirror
from jobs import mirrors_evict
from jobs.tasks.store_size import readable

_THREADS = 8
_TIMEOUT = 5  # seconds
_TASK = mirrors_evict.TASK.replace("_", "-")
_NONE = "the stack has no mirrors"


def mirrors_serve(facts: Facts) -> Finding:
    """Every mirror is in Consul, passes its checks and answers on its own port.

    Symptom: Pulls are slow or limited as before: clients pass over a mirror that fails, and ask the upstream.

    Cause: The mirrors' job was stopped, a mirror has no place, or it ends when it starts: distribution asks
    its upstream then.

    Fix: `pulumi up` if the job is not there; else `nomad job status docker-registry-mirrors` tells why.
    """
    mirrors = facts.settings.mirrors.root
    if not mirrors:
        return not_looked_at(_NONE)
    wrong = _of_each(mirrors, partial(_silence, facts))
    if wrong:
        return failure(_told(wrong), job_fix(facts, facts.settings.mirrors_job))
    return ok(f"{', '.join(mirror.name for mirror in mirrors)}: each answers")


def upstreams_answer(facts: Facts) -> Finding:
    """The upstreams answer this machine, and take the mirrors' users.

    Symptom: What is cached is served, and other images fail; a mirror that ends does not start again.

    Cause: The upstream is down, or the way to it; or the password there was changed.

    Fix: the way to the upstream, from the machine with the mirrors; or `pulumi config set --secret --path
    'docker-registry:mirrors[0].password'` and `pulumi up`.
    """
    mirrors = facts.settings.mirrors.root
    if not mirrors:
        return not_looked_at(_NONE)
    if refused := problems(facts.settings):
        stack, keys = facts.settings.stack, [each.partition(": ")[0] for each in refused]
        fixes = [f"pulumi config set --secret --path '{key}.password' --stack {stack}" for key in keys]
        return failure("; ".join(refused), "\n".join([*fixes, facts.up]))
    if away := _of_each(mirrors, _absence):
        tries = [f"curl -sS {mirror.upstream}/v2/" for mirror in mirrors if mirror.name in away]
        return warning(_told(away), "\n".join(f"{each}   # on the mirrors' machine" for each in tries))
    return ok(f"{', '.join(mirror.upstream for mirror in mirrors)}: each answers from here")


def caches_within_size(facts: Facts) -> Finding:
    """What the mirrors cache is within `maxSize`, as the last run that measured it says.

    Symptom: The disk fills up.

    Cause: The job that measures the caches does not run or fails, or an upstream is away, and a mirror that
    makes room needs it to start again.

    Fix: `nomad job periodic force docker-registry-mirrors-evict` measures them now.
    """
    settings = facts.settings
    if not settings.limited_mirrors:
        return not_looked_at("no mirror has a maxSize")
    job = settings.maintenance_job(mirrors_evict.KIND)
    again = facts.nomad("job periodic force", job)
    told = _last_measured(facts, job)
    if told is None:
        return not_looked_at(f"Nomad keeps no run of {job}, or the token may not read its log")
    wrong = {each["mirror"]: each["problem"] for each in told if "problem" in each}
    if wrong:
        return warning(_told(wrong), again)
    sizes = {each["mirror"]: each.get("evicted", each)["bytes"] for each in told}
    unknown = {mirror.name for mirror in settings.limited_mirrors} - sizes.keys()
    if unknown:
        return warning(f"the last run of {job} did not measure {', '.join(sorted(unknown))}", again)
    limits = {mirror.name: mirror.limit or 0 for mirror in settings.limited_mirrors}
    shown = [f"{name} has {readable(sizes[name])} of {readable(limit)}" for name, limit in limits.items()]
    # One that grew since is made smaller by the next run.
    return ok("; ".join(shown))


CHECKS = (mirrors_serve, upstreams_answer, caches_within_size)


def _of_each(mirrors: Sequence[Mirror], problem: Callable[[Mirror], str | None]) -> dict[str, str]:
    """Look at all mirrors; what is wrong, by name."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(problem, mirrors)
        return {mirror.name: each for mirror, each in zip(mirrors, found, strict=True) if each}


def _told(wrong: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {problem}" for name, problem in wrong.items())


def _silence(facts: Facts, mirror: Mirror) -> str | None:
    service = facts.settings.mirror_service(mirror)
    instances = find_instances(facts.servers.consul, service)
    if not instances:
        return f"service {service} is not in Consul"
    answer = worst_answer(instances, facts.settings, facts.servers.vault)
    if answer.code is None:
        return f"{answer.url} does not answer: {answer.error}"
    if answer.code != 200:
        return f"{answer.url} answers {answer.code}"
    state = service_state(instances)
    return None if state == "passing" else f"service {service} is {state}"


def _absence(mirror: Mirror) -> str | None:
    try:
        with httpx.Client(transport=EnvironmentTransport(), timeout=_TIMEOUT) as client:
            client.get(f"{mirror.upstream}/v2/")
    except httpx.TransportError as error:
        return f"{mirror.upstream} does not answer from here: {error or type(error).__name__}"
    return None


def _last_measured(facts: Facts, job: str) -> list[Mapping[str, Any]] | None:
    """Read what the newest run told of each mirror; None if there is none to read."""
    nomad, namespace = facts.servers.nomad, facts.settings.registry.namespace
    runs = nomad.get("/v1/jobs", namespace=namespace, prefix=f"{job}/")
    for run in sorted(runs, key=lambda each: int(each["SubmitTime"]), reverse=True):
        child = quote(run["ID"], safe="")
        for allocation in nomad.get(f"/v1/job/{child}/allocations", namespace=namespace):
            if lines := task_lines(nomad, namespace, allocation["ID"], _TASK):
                return [json.loads(line) for line in lines]
    return None
