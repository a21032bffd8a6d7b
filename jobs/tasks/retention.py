"""Plans what retention removes from the store; in mode `apply` it removes it.

Prints a line of JSON for each repository of which there is something to say, and a summary as the last line.
For `apply` the registry must not take pushes: it waits until the job has frozen it.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from jobs.tasks.frozen import mark, wait_until_frozen
from jobs.tasks.retention_plan import Plan, as_mapping, plan
from jobs.tasks.retention_rules import Rule, RuleError
from jobs.tasks.store import Store


class ChangedError(Exception):
    """The store is not any more what a person agreed to."""


def run(environment: Mapping[str, str]) -> None:
    """Print the plan, and carry it out.

    A plan that somebody looked at is given by its time and fingerprint (the job's meta `at` and `plan`); then
    only that one is carried out. Raises ChangedError, RuleError, OSError.
    """
    apply = environment["MODE"] == "apply"
    if apply:
        wait_until_frozen(environment)
    agreed, now = environment.get("NOMAD_META_plan"), time.time()
    given = environment.get("NOMAD_META_at") if agreed or not apply else None
    # Never of the future, that would make everything old; in this order a NaN is none either.
    at = min(now, float(given or now))
    store = Store(Path(environment["STORE"]))
    made = plan(store, [Rule.of(rule) for rule in json.loads(environment["RULES"])], at)
    if agreed and agreed != made.fingerprint:
        raise ChangedError(
            "nothing is removed: what would go is not what it was when it was shown; look again"
        )
    for repository in made.repositories:
        print(json.dumps(as_mapping(repository)))
    if apply:
        carry_out(store, made)
    print(json.dumps({"summary": summary(made, at)}))
    if apply:
        mark(environment, "retention")


def carry_out(store: Store, agreed: Plan) -> None:
    """Remove what the plan says. Cut off, it leaves manifests without tags, never tags without manifests."""
    for each in agreed.repositories:
        for tag in each.tags:
            store.remove_tag(each.repository, tag.name)
        store.remove_manifests(each.repository, [manifest.digest for manifest in each.manifests])


def summary(made: Plan, at: float) -> Mapping[str, object]:
    """Count what goes."""
    return {
        "at": at,
        "plan": made.fingerprint,
        "tags": sum(len(each.tags) for each in made.repositories),
        "manifests": sum(len(each.manifests) for each in made.repositories),
        "bytes": sum(each.bytes for each in made.repositories),
    }


def main(environment: Mapping[str, str]) -> int:
    """Run; the exit code."""
    try:
        run(environment)
    except (ChangedError, RuleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
