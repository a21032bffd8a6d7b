"""An image made on this machine, in place of one that cannot be pulled."""

import io
import re
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import certifi

from devcluster.debian import unpack
from devcluster.programs import cached
from devcluster.progress import step

RECIPE_LABEL = "docker-registry.cluster.recipe"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """An image: which files it has beside a shell and certificates, and how it starts."""

    name: str  # as in a job: `registry:3`
    version: str
    recipe: str  # changes when the content would
    add_files: Callable[["Layer"], None] = field(repr=False)
    instructions: tuple[str, ...]  # as in a Dockerfile

    def changes(self) -> list[str]:
        """The image's settings as arguments of `docker import`."""
        title = f"{self.name.partition(':')[0]} (stand-in made on this machine)"
        lines = [
            "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            *self.instructions,
            f'LABEL org.opencontainers.image.title="{title}"',
            f'LABEL org.opencontainers.image.version="{self.version}"',
            f'LABEL {RECIPE_LABEL}="{self.recipe}"',
        ]
        return [argument for line in lines for argument in ("--change", line)]

    def archive(self) -> Path:
        """The root file system as a tar archive, made once for all clusters of this user."""
        name = f"image-{re.sub('[:/]', '-', self.name)}-{self.recipe}"
        return cached(name, lambda folder: self.write(folder / "layer.tar")) / "layer.tar"

    def write(self, path: Path) -> None:
        """Write the root file system."""
        with step(f"making the image {self.name} ({self.version})"), tarfile.open(path, "w") as archive:
            layer = Layer(archive)
            _add_base(layer)
            self.add_files(layer)


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

    def tree(self, path: str, source: Path, *, without: frozenset[str] = frozenset()) -> None:
        """Add a directory with all that is in it, but for the entries of these names at its top."""
        for entry in sorted(source.rglob("*")):
            inner = entry.relative_to(source)
            if inner.parts[0] in without:
                continue
            if entry.is_symlink():
                self.link(f"{path}/{inner}", str(entry.readlink()))
            elif entry.is_file():
                self.file(f"{path}/{inner}", entry.read_bytes(), entry.stat().st_mode & 0o777)


def _add_base(layer: Layer) -> None:
    for folder in ("bin", "etc", "etc/ssl", "etc/ssl/certs", "var", "var/lib"):
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
