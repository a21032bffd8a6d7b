"""`ops drift`: what somebody changed on the servers since the last `pulumi up`."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import typer

from checks.dead_jobs import DeadJob, dead_jobs
from checks.secret_change import secret_change
from checks.servers import Server, Servers
from config.settings import Settings
from ops.job_changes import JobChange, job_changes
from ops.options import AsJson, StackName
from ops.preview import Resource, preview
from ops.stack import Deployed, Stack
from ops.terminal import say, say_json

_SECRET = "vault:kv/secretV2:SecretV2"  # noqa: S105 - a type


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A resource that is not as the last `up` left it."""

    resource: str
    what: tuple[str, ...]  # lines; of a job, Nomad's diff from what runs to what was deployed
    fix: str  # command


def drift(stack: StackName = None, as_json: AsJson = False) -> None:
    """Compare the servers with what was deployed last; exit 1 if something differs.

    Nomad's jobs by Nomad's own plan: the provider does not see a job that was changed by the API. Secrets by
    hash: the provider does not read what is in them.
    """
    chosen = Stack.selected(stack)
    settings = chosen.settings()
    deployed = chosen.deployed()
    found = preview(chosen, settings, deployed)
    with Servers(settings.providers) as servers:
        dead = dead_jobs(servers.nomad, settings)
        jobs = {each.label: None if each.is_gone else each.deployed_job for each in found}
        changed = list(job_changes(servers.nomad, jobs))
        there = {each.urn for each in found if not each.is_gone}
        secrets = dict(
            changed_secrets(servers.vault, settings, (each for each in deployed if each.urn in there))
        )
    drifted = [
        *drifts(
            chosen.name,
            settings.providers.nomad.address,
            found,
            [each for each in changed if each.job not in {job.job for job in dead}],
            secrets,
        ),
        *deaths(chosen.name, dead, changed),
    ]
    if as_json:
        say_json([asdict(each) for each in drifted])
    else:
        for line in lines(drifted):
            say(line)
    if drifted:
        raise typer.Exit(1)


def deaths(stack: str, dead: list[DeadJob], changed: list[JobChange]) -> Iterator[Drift]:
    """Name the jobs that only a deploy starts again, and what else was changed of them."""
    differences = {change.job: change.lines for change in changed}
    for job in dead:
        what = (job.what, *differences.get(job.job, ()))
        yield Drift(resource=f"job {job.job}", what=what, fix=f"pulumi up --stack {stack}")


def changed_secrets(
    vault: Server, settings: Settings, deployed: Iterable[Deployed]
) -> Iterator[tuple[str, str]]:
    """Compare the secrets in Vault with what was deployed; what differs, by the URN of its resource."""
    if settings.providers.vault_logs_in:
        say(
            "secrets in Vault are not compared: the provider logs in by vault:authLogin…, ops has no token",
            err=True,
        )
        return
    for each in deployed:
        if each.type == _SECRET:
            # What a job of the stack writes is not read by Pulumi, so that `up` leaves it alone.
            content = None if each.inputs.get("disableRead") else each.inputs["dataJson"]
            if change := secret_change(vault, each.inputs["mount"], each.inputs["name"], content):
                yield each.urn, change


def drifts(
    stack: str,
    nomad_address: str,
    found: list[Resource],
    changed: list[JobChange],
    secrets: Mapping[str, str],
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
        elif what := secrets.get(each.urn):
            yield Drift(resource=each.label, what=(what,), fix=_secret_again(stack, each))
        elif each.deployed_job is None and each.drifted:
            yield Drift(resource=each.label, what=(f"changed: {', '.join(each.drifted)}",), fix=up)


def _secret_again(stack: str, secret: Resource) -> str:
    """Say what writes a secret again: `up` alone sees no difference to what it deployed."""
    if secret.deployed and secret.deployed.get("disableRead"):  # what a job of the stack writes
        return f"python -m ops keys refresh --stack {stack}"
    return f"pulumi up --replace {shlex.quote(secret.urn)} --stack {stack}"


def lines(drifted: list[Drift]) -> Iterator[str]:
    """Put drift into lines."""
    if not drifted:
        yield "everything is as it was deployed"
    for each in drifted:
        yield f"{each.resource}:"
        yield from (f"  {line}" for line in each.what)
        yield f"  to mend it: {each.fix}"
