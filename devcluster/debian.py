"""Debian packages: installed as root, or only unpacked to take a file out of them."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from devcluster.errors import ClusterError
from devcluster.progress import step

LOCK_SECONDS = 600  # how long to wait for another apt-get


def install(packages: Sequence[str], reason: str) -> None:
    """Install packages, refreshing the package lists first.

    Raises ClusterError naming `reason` without root or apt, and when apt fails.
    """
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(
            f"{reason}, and installing it needs root and Debian's apt-get: run `sudo apt-get install {names}`"
        )
    with step(f"installing {names}"):
        _apt("update", "-q")
        _apt("install", "-q", "-y", "--no-install-recommends", *packages)


def unpack(package: str, folder: Path) -> None:
    """Download a package and unpack its files below `folder`, without installing it."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise ClusterError(
            f"Debian's package {package} is needed for a stand-in image, and there is no apt-get here: "
            "let Docker reach its hub, so that the real image is pulled"
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _apt("download", "-q", package, folder=folder)
    except ClusterError:
        if os.geteuid() != 0:
            raise
        _apt("update", "-q")
        _apt("download", "-q", package, folder=folder)
    (archive,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", archive, folder], check=True)
    archive.unlink()


def _apt(*arguments: str, folder: Path | None = None) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        result = subprocess.run(
            ["apt-get", *arguments],
            cwd=folder,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode == 0:
            return
        if "Could not get lock" not in result.stderr or time.monotonic() > deadline:
            last = "\n".join(result.stderr.strip().splitlines()[-5:])
            raise ClusterError(f"`apt-get {' '.join(arguments)}` failed:\n{last}")
        # Another cluster or the system's updates; DPkg::Lock::Timeout would not wait for the package lists.
        time.sleep(1)
