"""`ops drift`: what somebody changed on the servers since the last `pulumi up`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import typer

from checks.servers import Servers
from ops.job_changes import JobChange, job_changes
from ops.options import AsJson, StackName
from ops.preview import Resource, preview
from ops.stack import Stack
from ops.terminal import say, say_json


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A resource that is not as the last `up` left it."""

    resource: str
    what: tuple[str, ...]  # lines; of a job, Nomad's diff from what runs to what was deployed
    fix: str  # command


def drift(stack: StackName = None, as_json: AsJson = False) -> None:
    """Compare the servers with what was deployed last; exit 1 if something differs.

    Nomad's jobs by Nomad's own plan: the provider does not see a job that was changed by the API.
    """
    chosen = Stack.selected(stack)
    found, providers = preview(chosen), chosen.settings().providers
    with Servers(providers) as servers:
        jobs = {each.label: None if each.is_gone else each.deployed_job for each in found}
        changed = list(job_changes(servers.nomad, jobs))
    drifted = list(drifts(chosen.name, providers.nomad.address, found, changed))
    if as_json:
        say_json([asdict(each) for each in drifted])
    else:
        for line in lines(drifted):
            say(line)
    if drifted:
        raise typer.Exit(1)


def drifts(
    stack: str, nomad_address: str, found: list[Resource], changed: list[JobChange]
) -> Iterator[Drift]:
    """Find what drifted, and what mends it."""
    jobs: Mapping[str, JobChange] = {each.label: each for each in changed}
    up = f"pulumi up --stack {stack}"
    for each in found:
        if each.is_gone:
            yield Drift(resource=each.label, what=("is gone",), fix=up)
        elif change := jobs.get(each.label):
            # What the provider does not see, `up` leaves as it is; Nomad takes the same job at any time, in
            # the namespace that the job says.
            deployed = f"python -m ops render {change.job} --deployed --stack {stack}"
            again = f"{deployed} | nomad job run -address={nomad_address} -json -"
            yield Drift(resource=each.label, what=change.lines, fix=up if each.drifted else again)
        elif each.deployed_job is None and each.drifted:
            yield Drift(resource=each.label, what=(f"changed: {', '.join(each.drifted)}",), fix=up)


def lines(drifted: list[Drift]) -> Iterator[str]:
    """Put drift into lines."""
    if not drifted:
        yield "everything is as it was deployed"
    for each in drifted:
        yield f"{each.resource}:"
        yield from (f"  {line}" for line in each.what)
        yield f"  to mend it: {each.fix}"
