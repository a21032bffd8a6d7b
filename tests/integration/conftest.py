"""One cluster for all integration tests: its own folder, ports and Docker engine, gone afterwards."""

import signal

import pytest
from deployment import Deployment
from running import RunningCluster
from throwaway import remove_abandoned, throwaway_cluster


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


# Minutes long, so they begin first, and the short ones fill what is left at the end.
LONGEST = (
    "test_deploy.py",
    "test_s3.py",
    "test_doctor.py",
    "test_token_keys.py",
    "test_modes.py",
    "test_acl.py",
    "test_gc.py",
    "test_workflows.py",
    "test_tls.py",
    "test_tokens.py",
    "test_drift.py",
    "test_backup.py",
    "test_mirrors.py",
    "test_environments.py",
    "test_monitoring.py",
    "test_backup_to_bucket.py",
)


def pytest_collection_modifyitems(items):
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
