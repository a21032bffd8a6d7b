"""`ops render`: each job and each file in it, as they will run."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from ops.options import StackName
from ops.preview import preview
from ops.stack import Stack, StackError
from ops.terminal import say_lines

JobName = Annotated[
    str | None, typer.Argument(metavar="JOB", help="One job, as `nomad job run -json` takes it.")
]
Deployed = Annotated[
    bool, typer.Option("--deployed", help="As the last `pulumi up` left it, not as it is to be.")
]


def render(job: JobName = None, stack: StackName = None, deployed: Deployed = False) -> None:
    """Print every Nomad job and every file in it. Secrets are where the job looks them up: none is in it."""
    chosen = Stack.selected(stack)
    found = preview(chosen, chosen.settings(), chosen.deployed())
    jobspecs = [each.deployed_job if deployed else each.wanted_job for each in found]
    jobs = {json.loads(text)["ID"]: text for text in jobspecs if text}
    if job is None:
        for text in jobs.values():
            for line in readable(json.loads(text)):
                say_lines(line)
    elif job in jobs:
        # To the letter: Nomad keeps the text, and the provider compares it with the stack's.
        say_lines(jobs[job], nl=False)
    else:
        raise StackError(f"the stack has no job {job}; it has {', '.join(sorted(jobs)) or 'none'}")


def readable(job: Mapping[str, Any]) -> Iterator[str]:
    """Put a job into lines: its files first, then the job with their names in place of them."""
    files: dict[str, str] = {}
    for group in job["TaskGroups"]:
        for task in group["Tasks"]:
            for template in task.get("Templates") or ():
                name = f"{job['ID']}/{group['Name']}/{task['Name']}/{template['DestPath']}"
                files[name], template["EmbeddedTmpl"] = template["EmbeddedTmpl"], f"({name})"
    for name, text in files.items():
        yield f"# {name}"
        yield text
    yield f"# {job['ID']}"
    yield json.dumps(job, indent=2, sort_keys=True)
    yield ""
