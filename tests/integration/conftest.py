"""One cluster for all integration tests: its own folder, ports and Docker engine, gone afterwards."""

import signal

import httpx
import pytest
from deployment import Deployment
from running import RunningCluster
from throwaway import remove_abandoned, throwaway_cluster

# Of requests that name no limit: httpx's 5 s are too few where four clusters share two cores and a disk.
httpx._config.DEFAULT_TIMEOUT_CONFIG.read = 30


@pytest.fixture(scope="session")
def cluster():
    """Real servers on ports of their own; stopped and removed at the end, also after a failure."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is told to stop cleans up too
    remove_abandoned()
    with throwaway_cluster() as made:
        yield RunningCluster.start(made)


@pytest.fixture(scope="session")
def deployed(cluster):
    """The program deployed to the tests' cluster, in a copy of the project of its own."""
    made = Deployment.make(cluster)
    made.up()
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def deployment(deployed):
    """The same for one file of tests: the next one finds nothing of what it stored, nor of its settings."""
    yield deployed
    deployed.clear()
