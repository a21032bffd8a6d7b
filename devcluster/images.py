"""The registry's images: pulled where Docker's hub can be reached, else stand-ins of the same use."""

import hashlib
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import certifi

from devcluster.debian import unpack
from devcluster.engine import docker
from devcluster.errors import ClusterError
from devcluster.programs import REGISTRY, cached, find_or_build, key
from devcluster.progress import say, step

PULL_SECONDS = 60
RECIPE_LABEL = "docker-registry.cluster.recipe"

# What the official images' docker-entrypoint.sh does.
ENTRY_POINT = """#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""

# What the official images carry, without the debug log level.
CONFIG = """version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """An image made here: which files it has and how it starts."""

    name: str  # as in a job: `registry:3`
    version: str
    recipe: str  # changes when the content would
    add_files: Callable[["Layer"], None] = field(repr=False)
    config_path: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def changes(self) -> list[str]:
        """The image's settings as arguments of `docker import`."""
        lines = [
            'ENTRYPOINT ["/entrypoint.sh"]',
            f'CMD ["{self.config_path}"]',
            "EXPOSE 5000",
            "VOLUME /var/lib/registry",
            "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            *(f"ENV {name}={value}" for name, value in self.environment.items()),
            'LABEL org.opencontainers.image.title="registry (stand-in made on this machine)"',
            f'LABEL org.opencontainers.image.version="{self.version}"',
            f'LABEL {RECIPE_LABEL}="{self.recipe}"',
        ]
        return [argument for line in lines for argument in ("--change", line)]


class Layer:
    """A root file system being written as a tar archive, the same bytes each time."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Add an empty directory."""
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self._archive.addfile(entry)

    def file(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Add a file."""
        data = content.encode() if isinstance(content, str) else content
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(data), mode
        self._archive.addfile(entry, io.BytesIO(data))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._archive.addfile(entry)


def ensure(docker_host: str) -> None:
    """Give the engine `registry:3` and `registry:2`: what it has, what can be pulled, else stand-ins."""
    listed = docker(docker_host, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "registry")
    missing = [name for name in ("registry:3", "registry:2") if name not in listed.split()]
    if missing and _pull(docker_host, missing[0]):
        missing = [name for name in missing[1:] if not _pull(docker_host, name)]
    for name in ("registry:3", "registry:2"):
        if name in missing:
            _import(docker_host, STAND_INS[name]())
            say(f"{name} cannot be pulled here: using a stand-in made on this machine")
        elif name in listed.split():
            _renew(docker_host, name)


def _renew(docker_host: str, name: str) -> None:
    """Replace a stand-in that an older recipe made."""
    label = f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}'
    recipe = docker(docker_host, "image", "inspect", "--format", label, name).strip()
    if recipe:
        image = STAND_INS[name]()
        if recipe != image.recipe:
            _import(docker_host, image)


def _pull(docker_host: str, name: str) -> bool:
    command = ["docker", "--host", docker_host, "pull", "--quiet", name]
    try:
        return subprocess.run(command, capture_output=True, timeout=PULL_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _import(docker_host: str, image: StandIn) -> None:
    name = f"image-{image.name.replace(':', '-')}-{image.recipe}"
    archive = cached(name, lambda folder: _write(image, folder / "layer.tar")) / "layer.tar"
    docker(docker_host, "import", *image.changes(), str(archive), image.name)


def _write(image: StandIn, path: Path) -> None:
    with step(f"making the image {image.name} ({image.version})"), tarfile.open(path, "w") as archive:
        layer = Layer(archive)
        for folder in ("bin", "etc", "etc/ssl", "etc/ssl/certs", "var", "var/lib", "var/lib/registry"):
            layer.folder(folder)
        layer.folder("tmp", 0o1777)
        layer.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        layer.file("etc/group", "root:x:0:\nnogroup:x:65534:\n")
        layer.file("etc/ssl/certs/ca-certificates.crt", Path(certifi.where()).read_bytes())
        busybox = cached("debian-busybox-static", lambda folder: unpack("busybox-static", folder))
        program = busybox / "bin" / "busybox"
        layer.file("bin/busybox", program.read_bytes(), 0o755)
        applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                layer.link(f"bin/{applet}", "busybox")
        layer.file("entrypoint.sh", ENTRY_POINT, 0o755)
        layer.file(image.config_path.removeprefix("/"), CONFIG)
        image.add_files(layer)


def _registry_3() -> StandIn:
    def add_files(layer: Layer) -> None:
        layer.file("bin/registry", find_or_build(REGISTRY).read_bytes(), 0o755)

    return StandIn(
        name="registry:3",
        version=REGISTRY.version,
        recipe=_recipe(key(REGISTRY)),
        add_files=add_files,
        config_path="/etc/distribution/config.yml",
        environment={"OTEL_TRACES_EXPORTER": "none"},
    )


def _registry_2() -> StandIn:
    """Debian's distribution 2.8, a dynamic program: the libraries that it needs come from this machine."""
    package = cached("debian-docker-registry", lambda folder: unpack("docker-registry", folder))
    program = package / "usr" / "bin" / "docker-registry"
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]

    def add_files(layer: Layer) -> None:
        layer.file("bin/registry", program.read_bytes(), 0o755)
        for library in _libraries(program):
            layer.file(library.removeprefix("/"), Path(library).read_bytes(), 0o755)

    return StandIn(
        name="registry:2",
        version=version,
        recipe=_recipe(version),
        add_files=add_files,
        config_path="/etc/docker/registry/config.yml",
    )


def _libraries(program: Path) -> list[str]:
    """The shared libraries of a dynamic program, and its loader, as `ldd` finds them."""
    if not shutil.which("ldd"):
        raise ClusterError("`ldd` is missing, which tells the libraries of registry:2: install libc-bin")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", listed.stdout)


def _recipe(program: str) -> str:
    """Names a stand-in's content: the program and everything in this module."""
    source = Path(__file__).read_bytes()
    return hashlib.sha256(program.encode() + source).hexdigest()[:12]


STAND_INS: Mapping[str, Callable[[], StandIn]] = {"registry:3": _registry_3, "registry:2": _registry_2}
