"""Restores the newest snapshot for a test: every byte is read back and checked, and none is written.

The snapshot comes as a stream, so the drill needs no room, whatever the size of the registry. How it went
is told by a check in Consul. The last line says it too.
"""

import os
import signal
import sys
import tarfile
from collections.abc import Mapping

from jobs.tasks.backups import BackupError, Backups
from jobs.tasks.blob_check import check, listed, manifests_in
from jobs.tasks.consul_check import ConsulCheck, ConsulError
from jobs.tasks.restic import ResticError
from jobs.tasks.store import ROOT
from jobs.tasks.vault_api import Vault, VaultError


class DrillError(Exception):
    """The newest snapshot cannot be relied on; the message says why."""


def drill(backups: Backups) -> str:
    """Check the newest snapshot; say what is in it. Raises BackupError, DrillError and ResticError."""
    newest = backups.find("latest")
    name = f"snapshot {newest['id'][:8]} of {newest['time'][:19]}"
    try:
        with backups.files(newest["id"], f"{ROOT}/repositories") as files:
            manifests = manifests_in(files)
        with backups.files(newest["id"]) as files:
            found = check(files, manifests)
    except (ResticError, tarfile.TarError) as error:
        raise DrillError(f"{name} cannot be restored: {error}") from None
    if found.problems:
        raise DrillError(f"{name} can be restored, but the store in it is damaged:\n{listed(found.problems)}")
    return f"{name} can be restored: {found}"


def main(environment: Mapping[str, str]) -> int:
    """Drill and report; the exit code."""
    try:
        told, passed = drill(Backups.of_task(environment)), True
    except (BackupError, DrillError, ResticError, VaultError) as error:
        told, passed = str(error), False
    try:
        _check(environment).report(passed=passed, output=told)
    except (ConsulError, VaultError) as error:
        told, passed = f"{told}\n{error}", False
    print(told, file=sys.stdout if passed else sys.stderr)
    return 0 if passed else 1


def _check(environment: Mapping[str, str]) -> ConsulCheck:
    """Describe the check; a token for it may be beside the password, if there is one. Raises VaultError."""
    token = None
    try:
        token = Vault.of_task(environment).get(environment["SECRET_PATH"])["data"]["data"].get("consul_token")
    except VaultError as error:
        if error.status != 404:  # no backup ever made the password
            raise
    return ConsulCheck.of_task(environment, token)


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))
