"""A run of a maintenance job: started by hand, followed, and what its task wrote."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from checks.errors import AnswerError, CheckError
from checks.port_collision import PATIENCE, collides
from checks.servers import Server
from checks.task_log import task_log

_POLL_SECONDS = 0.5
_REASONS = 25  # lines of a failed task that are worth reading


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """A child of a periodic or a parameterized job."""

    nomad: Server
    namespace: str
    job: str
    evaluation: str

    @classmethod
    def forced(cls, nomad: Server, job: str, namespace: str) -> "JobRun":
        """Start a periodic job now. Raises CheckError."""
        evaluation = _started(nomad, job, f"/v1/job/{job}/periodic/force", {}, namespace)["EvalID"]
        child = nomad.get(f"/v1/evaluation/{evaluation}", namespace=namespace)["JobID"]
        return cls(nomad=nomad, namespace=namespace, job=child, evaluation=evaluation)

    @classmethod
    def dispatched(cls, nomad: Server, job: str, namespace: str, meta: Mapping[str, str]) -> "JobRun":
        """Start a parameterized job with its parameters. Raises CheckError."""
        path, body = f"/v1/job/{job}/dispatch", {"Meta": meta}
        answer = _started(nomad, job, path, body, namespace)
        return cls(
            nomad=nomad, namespace=namespace, job=answer["DispatchedJobID"], evaluation=answer["EvalID"]
        )

    def output(
        self, task: str, said: Callable[[str], None] = lambda _: None, patience: float = math.inf
    ) -> str:
        """Wait until the run ends, and give all that `task` wrote; `said` gets what it writes meanwhile.

        A token that may not read logs gets nothing. Raises CheckError with the words of the task that failed,
        and if the run does not end within `patience` seconds.
        """
        return self._log(self._ended(task, said, patience), task, "stdout") or ""

    def answer(self, task: str) -> str:
        """Give what `output` does, where that is what the run is for. Raises CheckError also without it."""
        written = self._log(self._ended(task), task, "stdout")
        if written is None:
            raise CheckError(
                f"Nomad at {self.nomad.address}: job {self.job} ran, and what it wrote cannot be read: the "
                f'token in {self.nomad.token_setting} needs `read-logs` in namespace "{self.namespace}"'
            )
        return written

    def _ended(
        self, task: str, said: Callable[[str], None] = lambda _: None, patience: float = math.inf
    ) -> str:
        """Wait until the run ended well; the id of its allocation."""
        deadline, seen = time.monotonic() + patience, 0
        allocation = self._allocation(deadline)
        while True:
            allocation = self.nomad.get(f"/v1/allocation/{allocation['ID']}", namespace=self.namespace)
            text = self._log(allocation["ID"], task, "stdout") or ""
            if whole := text[seen:].rpartition("\n")[0]:
                said(whole)
                seen += len(whole) + 1
            if allocation["ClientStatus"] not in ("pending", "running"):
                break
            self._pause(deadline)
        if allocation["ClientStatus"] != "complete":
            raise self._failed(allocation)
        return str(allocation["ID"])

    def _allocation(self, deadline: float) -> Mapping[str, Any]:
        """Wait for the run's one allocation. Raises CheckError if Nomad has no place for it."""
        path, since = f"/v1/job/{quote(self.job, safe='')}/allocations", time.monotonic()
        while not (found := self.nomad.get(path, namespace=self.namespace)):
            self.require_place(since)
            self._pause(deadline)
        allocation: Mapping[str, Any] = found[0]
        return allocation

    def require_place(self, since: float) -> None:
        """Raise CheckError if Nomad has no place for it; it was started at `since` (monotonic clock)."""
        evaluation = self.nomad.get(f"/v1/evaluation/{self.evaluation}", namespace=self.namespace)
        failed = evaluation.get("FailedTGAllocs") or {}
        # A run has no port: Nomad places it as soon as no two other allocations have the same one.
        if failed and not (collides(failed) and time.monotonic() < since + PATIENCE):
            raise self._stuck("Nomad found no place for it")

    def _pause(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise self._stuck("it did not end in time")
        time.sleep(_POLL_SECONDS)

    def _stuck(self, what: str) -> CheckError:
        address = self.nomad.address
        return CheckError(
            f"Nomad at {address}: job {self.job}: {what}; "
            f"`nomad job status -address={address} -namespace={self.namespace} {self.job}` says why"
        )

    def _failed(self, allocation: Mapping[str, Any]) -> CheckError:
        states = allocation["TaskStates"] or {}
        failed = [task for task, state in states.items() if state["Failed"]]
        if not failed:  # its machine went away, or somebody stopped it
            reason = allocation["ClientDescription"] or allocation["DesiredDescription"] or "no reason given"
            return self._stuck(f"its allocation is {allocation['ClientStatus']} ({reason})")
        task, state = failed[0], states[failed[0]]
        told = (self._log(allocation["ID"], task, "stderr") or "").splitlines()
        told = told or [event["DisplayMessage"] for event in state["Events"] or ()][-3:]
        words = "\n".join(f"  {line}" for line in told[-_REASONS:])
        return CheckError(
            f"Nomad at {self.nomad.address}: job {self.job}: task {task} "
            f"{allocation['ClientStatus']}:\n{words}"
        )

    def _log(self, allocation: str, task: str, kind: str) -> str | None:
        """Read all that a task wrote, nothing before it starts; None if the token may not read logs."""
        try:
            return task_log(self.nomad, self.namespace, allocation, task, kind)
        except AnswerError as error:
            if error.status in (404, 500):
                return ""
            if error.status == 403:
                return None
            raise


def _started(nomad: Server, job: str, path: str, body: object, namespace: str) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = nomad.post(path, body, namespace=namespace)
    except AnswerError as error:
        if "not found" in error.reason:
            raise CheckError(f"Nomad at {nomad.address} has no job {job}: `pulumi up` makes it") from None
        raise
    return answer
