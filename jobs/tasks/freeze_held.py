"""Whether the registry stayed read-only while a task worked on its store.

An allocation takes the freeze once: if it holds it in the end, it held it all the time.
"""

from collections.abc import Mapping

from jobs.tasks.freeze_record import freeze_in, variable_of
from jobs.tasks.nomad_api import Nomad


class ThawedError(Exception):
    """The freeze ended before the work did; the message says so."""


def require_freeze(nomad: Nomad, environment: Mapping[str, str]) -> None:
    """Raise ThawedError unless the allocation that this runs in holds the freeze; NomadError."""
    registry = environment["REGISTRY_JOB"]
    held = freeze_in(nomad.get(variable_of(registry)))
    if held is None or held.owner != environment["NOMAD_ALLOC_ID"]:
        raise ThawedError(
            f"somebody ended the freeze of this run, as `python -m ops thaw` does: {registry} may have taken "
            "pushes meanwhile"
        )
