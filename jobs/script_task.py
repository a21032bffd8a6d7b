"""A task that runs one of the scripts of jobs/tasks, with no right that it does not need."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from config.settings import Settings
from jobs import nomad
from jobs.config_template import literal
from jobs.vault_login import VaultLogin

_SCRIPTS = Path(__file__).with_name("tasks")
_IMPORT = re.compile(r"^from jobs\.tasks\.(\w+) import", re.MULTILINE)
_VAULT_CA, _CONSUL_CA = "local/vault-ca.pem", "local/consul-ca.pem"


def script_task(
    script: str,
    settings: Settings,
    *,
    user: str,
    env: Mapping[str, str],
    login: VaultLogin | None = None,
    vault_ca: str | None = None,
    consul_ca: str | None = None,
    volume_mounts: tuple[nomad.VolumeMount, ...] = (),
    lifecycle: nomad.Lifecycle | None = None,
    nomad_api: bool = False,
) -> nomad.Task:
    """Make the task; `vault_ca` and `consul_ca` are texts of certificates that the servers' are checked by.

    Without `login` it has no token for Vault; with `nomad_api` it has one for Nomad.
    """
    trusted = {
        name: (file, text)
        for name, file, text in (
            ("VAULT_CACERT", _VAULT_CA, vault_ca),
            ("CONSUL_CACERT", _CONSUL_CA, consul_ca),
        )
        if text
    }
    return nomad.Task(
        name=script.replace("_", "-"),
        user=user,
        config=nomad.DockerConfig(
            image=settings.registry.script_image,
            auth_soft_fail=True,  # the image is public: a client without its auth file can pull it too
            args=("python3", "-m", "jobs.tasks.logged", f"jobs.tasks.{script}"),
            # The client reaches Vault and the registry; a bridge might not, if they are on loopback.
            network_mode="host",
            cap_drop=("all",),
            security_opt=("no-new-privileges",),
            readonly_rootfs=True,
            pids_limit=32,  # one process; a bound against fork bombs
        ),
        env={
            "PYTHONPATH": "/local",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",  # each line is in the log at once
            **({"VAULT_ADDR": settings.providers.vault.address} if login else {}),
            **{name: f"/{file}" for name, (file, _) in trusted.items()},
            **env,
        },
        lifecycle=lifecycle,
        identity=nomad.NomadIdentity(file=True) if nomad_api else None,
        identities=login.identities(settings) if login else None,
        resources=nomad.Resources(cpu=50, memory=64),  # Python itself takes 15 MiB
        templates=tuple(_templates(script, trusted.values())),
        vault=login.vault(token_file=True) if login else None,
        volume_mounts=volume_mounts,
    )


def _templates(script: str, files: Iterable[tuple[str, str]]) -> Iterator[nomad.Template]:
    for module, text in sorted(_modules(script).items()):
        # At its place in the repository, so that its imports are the same there and here.
        yield _file(f"local/jobs/tasks/{module}.py", text)
    for destination, text in files:
        yield _file(destination, text)


def _modules(script: str) -> dict[str, str]:
    """Read a script, what runs it, and what it imports of its neighbours, by name."""
    found, missing = {"__init__": (_SCRIPTS / "__init__.py").read_text()}, {script, "logged"}
    while missing:
        module = missing.pop()
        found[module] = (_SCRIPTS / f"{module}.py").read_text()
        missing |= set(_IMPORT.findall(found[module])) - set(found)
    return found


def _file(destination: str, text: str) -> nomad.Template:
    # Nothing in it changes while the task runs.
    return nomad.Template(data=literal(text), destination=destination, change_mode="noop", perms="0444")
