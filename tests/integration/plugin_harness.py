"""Drives the real engine with a local plugin: one stack whose program each step may change."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pulumi import automation

Program = Callable[[], None]


@dataclass
class Steps:
    """What one run of the engine did to each resource, by the resource's name."""

    operations: dict[str, str] = field(default_factory=dict)  # only those that were not left the same
    paths: dict[str, list[str]] = field(default_factory=dict)  # property paths of a detailed diff
    log: str = ""  # messages under a resource, as a terminal shows them

    def take(self, event: automation.EngineEvent) -> None:
        if event.diagnostic_event and event.diagnostic_event.severity != "debug":
            self.log += event.diagnostic_event.message
        if not event.resource_pre_event:
            return
        metadata = event.resource_pre_event.metadata
        name, operation = metadata.urn.rsplit("::", 1)[1], str(getattr(metadata.op, "value", metadata.op))
        if metadata.type.startswith("pulumi:") or operation in ("same", "refresh", "read"):
            return
        self.operations[name] = "replace" if "replace" in operation else operation
        if metadata.detailed_diff:
            self.paths[name] = sorted(metadata.detailed_diff)


class Trial:
    """A stack of its own on a file backend."""

    def __init__(self, name: str, folder: Path, env: Mapping[str, str]) -> None:
        folder.mkdir()
        self._folder = folder
        self._env = {**env, "PULUMI_BACKEND_URL": folder.as_uri(), "PULUMI_CONFIG_PASSPHRASE": "trial"}
        with _path(self._env["PATH"]):  # the Automation API looks for pulumi on this process's PATH
            self.stack = automation.create_stack(
                "trial",
                project_name=name,
                program=lambda: None,
                opts=automation.LocalWorkspaceOptions(
                    work_dir=str(folder),
                    env_vars=self._env,
                    project_settings=automation.ProjectSettings(name=name, runtime="python"),
                ),
            )

    def _run(self, command: str, program: Program | None, **options: object) -> Steps:
        if program is not None:
            self.stack.workspace.program = program
        steps = Steps()
        with _path(self._env["PATH"]):
            getattr(self.stack, command)(on_event=steps.take, color="never", **options)
        return steps

    def up(self, program: Program, **options: object) -> Steps:
        return self._run("up", program, **options)

    def preview(self, program: Program, **options: object) -> Steps:
        return self._run("preview", program, **options)

    def refresh(self) -> Steps:
        return self._run("refresh", None)

    def destroy(self) -> Steps:
        return self._run("destroy", None)

    def failure(self, command: str, program: Program, **options: object) -> str:
        """The output of a run that must fail."""
        try:
            self._run(command, program, **options)
        except automation.CommandError as error:
            return str(error)
        raise AssertionError(f"{command} succeeded")

    def state(self) -> dict[str, dict]:
        """Each resource's state by name, with secrets decrypted."""
        resources = self.stack.export_stack().deployment.get("resources", [])
        return {one["urn"].rsplit("::", 1)[1]: one for one in resources}

    def stored(self) -> str:
        """The state as it lies in the backend."""
        return "".join(path.read_text() for path in self._folder.glob(".pulumi/stacks/*/*.json"))

    def outputs(self) -> Mapping[str, automation.OutputValue]:
        return self.stack.outputs()


@contextmanager
def _path(path: str) -> Iterator[None]:
    before = os.environ["PATH"]
    os.environ["PATH"] = path
    try:
        yield
    finally:
        os.environ["PATH"] = before
