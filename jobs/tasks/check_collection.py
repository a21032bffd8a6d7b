"""Says what the garbage collection would stop at, before the registry is frozen in vain."""

import os
import signal
import sys
from collections.abc import Mapping

from jobs.tasks.frozen import mark
from jobs.tasks.prepare_collection import ObstacleError, require_clear


def main(environment: Mapping[str, str]) -> int:
    """Look; the exit code. Once it is 0 the freeze begins."""
    try:
        require_clear(environment)
    except (ObstacleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    mark(environment, "check-collection")
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
