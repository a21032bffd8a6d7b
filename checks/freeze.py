"""Who holds the registry read-only, and how to end that."""

from dataclasses import dataclass

from checks.errors import AnswerError
from checks.servers import Server
from config.settings import Settings
from jobs.tasks.freeze_record import freeze_in, freeze_variable, is_over, variable_of, without_freeze


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A freeze that is in force."""

    owner: str  # id of the allocation; anything else is a person's
    job: str
    since: str  # ISO time
    owner_lives: bool | None  # None: no allocation owns it
    index: int  # of the variable, as it was read


def held(nomad: Server, settings: Settings) -> Hold | None:
    """Ask Nomad; None if nobody holds it. Raises CheckError, also if the token may not read that."""
    namespace = settings.registry.namespace
    try:
        variable = nomad.get(variable_of(settings.registry.name), namespace=namespace)
    except AnswerError as error:
        if error.status == 404:
            return None
        raise _with_advice(error, settings) from None
    found = freeze_in(variable)
    if found is None:
        return None
    return Hold(
        owner=found.owner,
        job=found.job,
        since=found.since,
        owner_lives=None if found.is_by_hand else _lives(nomad, found.owner, namespace),
        index=variable["ModifyIndex"],
    )


def _lives(nomad: Server, allocation: str, namespace: str) -> bool:
    try:
        return not is_over(nomad.get(f"/v1/allocation/{allocation}", namespace=namespace))
    except AnswerError as error:
        if error.status == 404:
            return False
        raise


def thaw(nomad: Server, settings: Settings, hold: Hold) -> None:
    """End this freeze, whoever holds it. Raises CheckError, also if it changed since it was read."""
    path, namespace = variable_of(settings.registry.name), settings.registry.namespace
    # Check-and-set by what was read then: a freeze that another job took meanwhile stays.
    given = {"namespace": namespace, "cas": str(hold.index)}
    try:
        if left := without_freeze(nomad.get(path, namespace=namespace)):
            nomad.post(path, {"Items": left}, **given)
        else:
            nomad.delete(path, **given)
    except AnswerError as error:
        raise _with_advice(error, settings) from None


def _with_advice(error: AnswerError, settings: Settings) -> AnswerError:
    """Add what to do to an answer that is to be expected; another one stays as it is."""
    registry = settings.registry
    if error.status == 403:
        advice = (
            f"the token needs read, write and destroy on the variable {freeze_variable(registry.name)} "
            f"in namespace {registry.namespace}"
        )
    elif error.status in (404, 409):
        advice = (
            f"the freeze of {registry.name} is another one by now, or none, and nothing was ended; "
            "`python -m ops status` shows it"
        )
    else:
        return error
    return AnswerError(f"{error}: {advice}", status=error.status, reason=error.reason)
