"""What a task wrote."""

from checks.errors import AnswerError
from checks.servers import Server

_LINES = 20
_BYTES = 16_384  # read from the end of a log, and plenty for that many lines


def last_lines(nomad: Server, namespace: str, allocation: str, task: str, kind: str) -> list[str]:
    """Read the end of `stdout` or `stderr`; a task that never started has none, nor one long collected."""
    try:
        text = nomad.text(
            f"/v1/client/fs/logs/{allocation}",
            namespace=namespace,
            task=task,
            type=kind,
            origin="end",
            offset=_BYTES,
            plain="true",
        )
    except AnswerError:
        return []
    return text.splitlines()[-_LINES:]


def task_lines(nomad: Server, namespace: str, allocation: str, task: str) -> list[str]:
    """Read all of `stdout`, of a task that writes little; none of one that never started or is long gone."""
    try:
        text = nomad.text(
            f"/v1/client/fs/logs/{allocation}",
            namespace=namespace,
            task=task,
            type="stdout",
            origin="start",
            plain="true",
        )
    except AnswerError:
        return []
    return text.splitlines()
