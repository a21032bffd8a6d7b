"""A cluster of the benches' own with the stack deployed to it, made and removed as the tests' are."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "integration"))

from deployment import Deployment  # type: ignore[import-not-found]
from running import RunningCluster  # type: ignore[import-not-found]
from throwaway import throwaway_cluster  # type: ignore[import-not-found]


@contextmanager
def deployed() -> Iterator[Any]:
    """Give a deployment (tests/integration/deployment.py) that nobody else uses."""
    with throwaway_cluster() as made:
        deployment = Deployment.make(RunningCluster.start(made))
        deployment.up()
        deployment.wait_until_served()
        yield deployment
