"""Whether a stack's settings and its store are ready for another image of the registry.

What 2.x and 3.x do with each thing in the store was tried with distribution 2.8.2 and 3.1.2. All kinds of
images that 3.x takes are read by 2.x as well.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from checks.errors import CheckError
from checks.servers import Server
from checks.store_reading import read_store
from config.contradictions import NAMESPACE
from config.problems import SettingsError
from config.registry import RegistryVersion, version_of_image
from config.registry_config import major_version
from config.settings import Settings
from jobs.tasks.store_size import readable
from jobs.tasks.upgrade_check import EMPTY, NO_LAYERS, SCHEMA_1

_LEAST_FREE, _LEAST_SHARE = 1024**3, 0.1  # bytes, and of the whole filesystem
_BEFORE_3_1 = re.compile(r".*:v?3\.0(?:$|[.\-])")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know before the image is changed; one that `blocks` has to be mended before."""

    where: Literal["settings", "store"]
    what: str
    blocks: bool


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """A change of the image, and what was found."""

    image_now: str
    image: str
    version_now: RegistryVersion
    version: RegistryVersion
    findings: tuple[Finding, ...]
    store: Mapping[str, Any] | None  # counts of repositories and manifests, bytes free and in total

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not any(finding.blocks for finding in self.findings)


def check_upgrade(
    nomad: Server, settings: Settings, config: Mapping[str, str], env: Mapping[str, str], image: str
) -> Upgrade:
    """Look at the settings, as `config` and `env` have them, and at the store. Changes nothing.

    Raises CheckError if the store cannot be read, or if the image does not tell its version.
    """
    version = major_version(image, settings.registry.version if version_of_image(image) is None else None)
    if version is None:
        raise CheckError(f"{image} does not tell the registry's major version: name one as registry:3")
    findings = [
        *_refused(settings, config, env, image),
        *_of_versions(settings, image, version),
    ]
    store = None
    if settings.on_volume:
        found, store = read_store(nomad, settings, "upgrade_check")
        findings += [finding for each in found if (finding := _in_store(each, version))]
        if little := little_room(store["free"], store["total"]):
            findings.append(_warning("store", little))
    return Upgrade(
        image_now=settings.registry.image,
        image=image,
        version_now=settings.registry_version,
        version=version,
        findings=tuple(findings),
        store=store,
    )


def _refused(
    settings: Settings, config: Mapping[str, str], env: Mapping[str, str], image: str
) -> Iterator[Finding]:
    """Read the same settings with the other image, as `pulumi up` would."""
    key = f"{NAMESPACE}:registry"
    section = {**json.loads(config.get(key) or "{}"), "image": image}
    tells = version_of_image(image)
    if tells and section.get("version") not in (None, int(tells)):
        what = f"{key}.version: is {section['version']}, and {image} is {tells}.x: remove it"
        yield Finding(where="settings", what=what, blocks=True)
    if tells:
        section.pop("version", None)
    try:
        Settings.read(settings.stack, {**config, key: json.dumps(section)}, env)
    except SettingsError as error:
        for problem in error.problems:
            yield Finding(where="settings", what=str(problem), blocks=True)


def _of_versions(settings: Settings, image: str, version: RegistryVersion) -> Iterator[Finding]:
    """Tell what no check can see."""
    external, changes = settings.auth.external, version is not settings.registry_version
    if changes and external and external.root_cert_bundle:
        yield _warning(
            "settings",
            f"{NAMESPACE}:auth.external: 2.x and 3.x name the keys in rootCertBundle differently; the token "
            "server has to send its certificate with each token (x5c), or the name that this version takes",
        )
    if changes and version is RegistryVersion.V2:
        yield _warning("settings", "2.x deletes images by their digest only, not a tag alone")
    if version is RegistryVersion.V2 or _BEFORE_3_1.match(image):
        yield _warning("store", "versions before 3.1 can leave empty files when the machine crashes")


def _in_store(found: Mapping[str, Any], version: RegistryVersion) -> Finding | None:
    if found["kind"] == EMPTY:
        what = f"{found['path']} is empty, as a crash leaves it: its image cannot be pulled"
    elif found["kind"] == NO_LAYERS:
        what = f"repository {found['repository']} has no directory _layers"
        if version is not RegistryVersion.V2:
            return _warning(
                "store", f"{what}: `python -m ops gc` makes it, before the collection stops at it"
            )
        what += ": 2.x does not list it; `python -m ops gc` makes it"
    elif found["kind"] == SCHEMA_1:
        if version is RegistryVersion.V2:
            return None  # 2.x serves it
        what = f"{_image(found)} is of schema 1: 3.x cannot serve it, and garbage collection stops at it"
    else:
        what = f"{_image(found)} is no manifest: garbage collection stops at it"
    return Finding(where="store", what=what, blocks=True)


def _image(found: Mapping[str, Any]) -> str:
    tags, name = found["tags"], found["repository"]
    tagged = ", ".join(f"{name}:{tag}" for tag in tags) if tags else name
    return f"{tagged} ({found['digest']})"


def little_room(free: int, total: int) -> str | None:
    """Say it if pushes may fail soon; sizes in bytes."""
    if free >= max(_LEAST_FREE, _LEAST_SHARE * total):
        return None
    share = f"{100 * free / total:.0f} %" if total else "nothing"
    return f"{readable(free)} free of {readable(total)} ({share}): pushes may fail soon"


def _warning(where: Literal["settings", "store"], what: str) -> Finding:
    return Finding(where=where, what=what, blocks=False)
