"""Puts the four provider plugins into a PULUMI_HOME: the published ones, or these stand-ins."""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from devcluster.errors import ClusterError

PLUGINS = ("nomad", "consul", "vault", "command")
PUBLISHED = "provider plugins: published"
LOCAL = "provider plugins: local stand-ins (the published ones cannot be downloaded here)"

_REPOSITORY = Path(__file__).resolve().parents[2]
_DOWNLOAD_TIMEOUT = 600  # seconds


def install(pulumi_env: Mapping[str, str], build_dir: Path) -> str:
    """Installs what is missing in $PULUMI_HOME and returns one line for the user.

    `pulumi_env` is the whole environment of the pulumi process; `build_dir` takes the launchers.
    Raises ClusterError with pulumi's own message if a stand-in cannot be installed.
    """
    home = Path(pulumi_env["PULUMI_HOME"])
    wanted = [name for name in PLUGINS if not _installed(home, name)]
    if wanted and any_local(home):
        _install_local(wanted, pulumi_env, build_dir)
    elif wanted and not all(_download(name, pulumi_env) for name in wanted):
        _install_local(PLUGINS, pulumi_env, build_dir)
    return LOCAL if any_local(home) else PUBLISHED


def _launcher(home: Path, name: str) -> Path:
    return home / "plugins" / f"resource-{name}-v{version(f'pulumi-{name}')}" / f"pulumi-resource-{name}"


def _script(name: str) -> str:
    """No PYTHONPATH: the command plugin would hand it on to the user's scripts. -S: it takes no packages."""
    program = (
        f"import sys; sys.path.insert(0, {str(_REPOSITORY)!r}); "
        f"from devcluster.plugins.fork_server import launch; launch({name!r})"
    )
    return f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S -c {shlex.quote(program)} "$@"\n'


def _is_local(launcher: Path) -> bool:
    with launcher.open("rb") as file:
        return file.read(2) == b"#!"


def any_local(home: Path) -> bool:
    """Whether this PULUMI_HOME has a stand-in."""
    return any(path.exists() and _is_local(path) for path in (_launcher(home, name) for name in PLUGINS))


def _installed(home: Path, name: str) -> bool:
    """Published ones stay; a stand-in must be this checkout's, with this Python."""
    launcher = _launcher(home, name)
    return launcher.exists() and (not _is_local(launcher) or launcher.read_text() == _script(name))


def _download(name: str, env: Mapping[str, str]) -> bool:
    """One try, not five: pulumi is ended when it says that it will retry, and skips 7 s of its registry."""
    env = {**env, "PULUMI_DISABLE_REGISTRY_RESOLVE": "true"}
    command = ["pulumi", "plugin", "install", "resource", name, version(f"pulumi-{name}")]
    with subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        for line in process.stdout or ():
            if "retry" in line.lower():
                process.terminate()
        return process.wait(_DOWNLOAD_TIMEOUT) == 0


def _install_local(names: "tuple[str, ...] | list[str]", env: Mapping[str, str], build_dir: Path) -> None:
    for name in names:
        folder = build_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        launcher = folder / f"pulumi-resource-{name}"
        launcher.write_text(_script(name))
        launcher.chmod(0o755)
        done = subprocess.run(
            [
                "pulumi",
                "plugin",
                "install",
                "resource",
                name,
                version(f"pulumi-{name}"),
                "--reinstall",
                "--file",
                folder,
            ],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"the local {name} plugin cannot be installed: {done.stderr or done.stdout}")
