"""What a task wrote."""

from checks.errors import AnswerError
from checks.servers import Server

_LINES = 20
_BYTES = 16_384  # read from the end of a log, and plenty for that many lines


def task_log(
    nomad: Server,
    namespace: str,
    allocation: str,
    task: str,
    kind: str,
    *,
    origin: str = "start",
    offset: int = 0,
) -> str:
    """Read `stdout` or `stderr`: what comes after `offset` bytes, or the last ones with origin `end`.

    Raises AnswerError: with 404 or 500 for a task that never started, and for an allocation that is long
    gone; with 403 if the token may not read logs (Nomad API: Client, "Stream Logs").
    """
    return nomad.text(
        f"/v1/client/fs/logs/{allocation}",
        namespace=namespace,
        task=task,
        type=kind,
        origin=origin,
        offset=offset,
        plain="true",
    )


def last_lines(nomad: Server, namespace: str, allocation: str, task: str, kind: str) -> list[str]:
    """Read the end of `stdout` or `stderr`; a task that never started has none, nor one long collected."""
    try:
        text = task_log(nomad, namespace, allocation, task, kind, origin="end", offset=_BYTES)
    except AnswerError:
        return []
    return text.splitlines()[-_LINES:]


def task_lines(nomad: Server, namespace: str, allocation: str, task: str) -> list[str]:
    """Read all of `stdout`, of a task that writes little; none of one that never started or is long gone."""
    try:
        return task_log(nomad, namespace, allocation, task, "stdout").splitlines()
    except AnswerError:
        return []
