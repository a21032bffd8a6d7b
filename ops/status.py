"""`ops status`: how the registry is."""

from collections.abc import Iterator
from dataclasses import asdict

import typer

from checks.servers import Servers
from checks.status import Status
from checks.status import status as ask
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import Colored, Part, say, say_json
from ops.thaw import words

_ABSENT = "none"


def status(stack: StackName = None, as_json: AsJson = False) -> None:
    """Show the registry's job, allocation, service, what it answers and its volume, and jobs that are dead.

    Exit 1 if the registry is not healthy, or a job of the stack is dead.
    """
    settings = Stack.selected(stack).settings()
    with Servers(settings.providers) as servers:
        found = ask(servers, settings)
    if as_json:
        say_json(asdict(found))
    else:
        for label, text in lines(found):
            say((f"{label:<12}", text))
    if not found.healthy or found.dead:
        raise typer.Exit(1)


def lines(found: Status) -> Iterator[tuple[str, Part]]:
    """Put a status into words, a label and a text each."""
    word, color = (
        ("healthy", "green") if found.healthy else ("not healthy; `python -m ops why` says why", "red")
    )
    yield "registry", Colored(word, color)
    yield "job", _job(found)
    if found.instances_wanted > 1:
        yield "instances", f"{found.instances} of {found.instances_wanted} run"
    yield "deployment", _deployment(found)
    yield "allocation", _allocation(found)
    yield "service", f"{found.service}, {found.service_state or 'not registered in Consul'}"
    yield "answer", _answer(found)
    for each in found.dead:
        yield "dead", f"{each}; `pulumi up` starts it"
    yield "freeze", words(found.freeze) if found.freeze else _ABSENT
    if found.bucket:
        yield "bucket", found.bucket
    if found.volume is None:
        return
    offered = f"{found.volume_path} on {found.volume_node}" if found.volume_path else "not on the job's node"
    yield "volume", f"{found.volume}, {offered}"


def _job(found: Status) -> str:
    if found.job_state is None:
        return f"{found.job}, not deployed"
    return f"{found.job} version {found.job_version}, {found.job_state}"


def _deployment(found: Status) -> str:
    deployment = found.deployment
    if deployment is None:
        return _ABSENT
    return f"version {deployment.version}, {deployment.state}: {deployment.description}"


def _allocation(found: Status) -> str:
    allocation = found.allocation
    if allocation is None:
        return _ABSENT
    return (
        f"{allocation.id[:8]} on {allocation.node}, version {allocation.version}, {allocation.state}, "
        f"restarts {allocation.restarts}"
    )


def _answer(found: Status) -> str:
    answer = found.answer
    if answer is None:
        return _ABSENT
    if answer.code is None:
        return f"{answer.url} does not answer: {answer.error}"
    return f"{answer.url} {answer.code}" + (f", {answer.mode}" if answer.mode else "")
