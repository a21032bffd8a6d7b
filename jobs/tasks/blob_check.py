"""Checks a registry's store: each blob against its name, and that nothing is missing that something needs.

The store is given as files, by their paths below `docker/registry/v2` (distribution 3.1,
registry/storage/paths.go), in any order: from a directory, or out of a tar archive as it comes.
"""

import hashlib
import re
import tarfile
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from jobs.tasks.manifest_reader import LONGEST, is_digest, read
from jobs.tasks.store import ROOT, parts_of
from jobs.tasks.store_size import readable
from jobs.tasks.store_tree import Tree

_LONGEST_LINK = 256  # bytes; a link has a digest
_ALGORITHMS = ("sha256", "sha384", "sha512")  # that the registry knows (go-digest, algorithm.go)
_CHUNK = 1024 * 1024
_NO_DIGEST = "no digest"
_LISTED = 20  # problems that are worth reading
_BLOB = re.compile(r"blobs/(?P<algorithm>\w+)/../(?P<hex>[0-9a-f]+)/data")
_REVISION = re.compile(r"repositories/(?P<name>.+)/_manifests/revisions/(?P<algorithm>\w+)/(?P<hex>\w+)/link")
# A layer that was pushed by its sha512: the link has the sha256, by which the blob is kept.
_ALIAS = re.compile(r"repositories/(?P<name>.+)/_layers/(?P<digest>(?!sha256/)\w+/\w+)/link")
_TAG = re.compile(r"repositories/(?P<name>.+)/_manifests/tags/(?P<tag>[^/]+)/current/link")

Files = Iterable[tuple[str, IO[bytes]]]
Tags = dict[str, dict[str, str]]  # by repository: tags with their digests
_Named = tuple[str, str]  # a repository and a digest


@dataclass(frozen=True)
class Needed:
    """What a manifest cannot be pulled without, by digest."""

    blobs: tuple[str, ...] = ()
    # Only those that were pushed: the registry may take an index without all of its platforms
    # (`validation.manifests.indexes.platforms`).
    children: tuple[str, ...] = ()


@dataclass
class Found:
    """What is in a store, and what is wrong with it."""

    blobs: int = 0
    bytes: int = 0
    manifests: int = 0
    tags: Tags = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Count it."""
        tags = sum(len(each) for each in self.tags.values())
        return f"{self.blobs} blobs of {readable(self.bytes)}, {self.manifests} manifests, {tags} tags"


def check(files: Files, manifests: Container[str]) -> Found:
    """Read all of a store; only `manifests` are read as such. Raises OSError if it cannot be read."""
    found = Found()
    blobs: set[str] = set()
    parts: dict[str, Needed] = {}  # of manifests
    revisions: list[_Named] = []
    aliases: dict[_Named, str] = {}
    for path, stream in files:
        if match := _BLOB.fullmatch(path):
            named = f"{match['algorithm']}:{match['hex']}"
            digest, size, head = _read(match["algorithm"], stream)
            found.blobs, found.bytes = found.blobs + 1, found.bytes + size
            if digest != named:
                found.problems.append(f"blob {named} has other content: its digest is {digest}")
            blobs.add(named)
            if size <= LONGEST and named in manifests:
                parts[named] = needed(head)
        elif match := _REVISION.fullmatch(path):
            revisions.append((match["name"], f"{match['algorithm']}:{match['hex']}"))
        elif match := _ALIAS.fullmatch(path):
            named = match["digest"].replace("/", ":")
            aliases[match["name"], named] = _link(stream)
        elif match := _TAG.fullmatch(path):
            found.tags.setdefault(match["name"], {})[match["tag"]] = _link(stream)
    found.manifests = len(revisions)
    found.problems += _missing(found.tags, sorted(revisions), blobs, parts, aliases)
    return found


def listed(problems: Sequence[str]) -> str:
    """Put problems into lines, the first of them if there are many."""
    lines = [f"  {problem}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"  and {len(problems) - _LISTED} more")
    return "\n".join(lines)


def tags_in(files: Files) -> Tags:
    """Read only the tags of a store."""
    tags: Tags = {}
    for path, stream in files:
        if match := _TAG.fullmatch(path):
            tags.setdefault(match["name"], {})[match["tag"]] = _link(stream)
    return tags


def manifests_in(files: Files) -> set[str]:
    """Read only which blobs are manifests: any content can be pushed as a blob."""
    matches = [_REVISION.fullmatch(path) for path, _ in files]
    return {f"{match['algorithm']}:{match['hex']}" for match in matches if match}


def files_below(root: Path, folder: str = "") -> Iterator[tuple[str, IO[bytes]]]:
    """Give the files of a store at `root`, or in one folder of it, by their paths below `root`."""
    tree = Tree(root)
    for path in tree.files(folder):
        with tree.open(path) as stream:
            yield path, stream


def files_of_tar(archive: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Give the files of a tar archive that is read as it comes. Raises tarfile.TarError."""
    with tarfile.open(fileobj=archive, mode="r|") as opened:
        for entry in opened:
            stream = opened.extractfile(entry) if entry.isfile() else None
            if stream is not None:
                yield entry.name.partition(f"{ROOT}/")[2], stream
            opened.members = []  # type: ignore[attr-defined]  # else it remembers every file


def digest_of(algorithm: str, stream: IO[bytes]) -> str:
    """Give the digest of a content."""
    return _read(algorithm, stream)[0]


def _read(algorithm: str, stream: IO[bytes]) -> tuple[str, int, bytes]:
    """Give the digest, the size in bytes, and as much of the beginning as a manifest can have.

    By an algorithm that the registry does not know nothing has its right name: then it is the sha256.
    """
    if algorithm not in _ALGORITHMS:
        algorithm = _ALGORITHMS[0]
    hashed, size, head = hashlib.new(algorithm), 0, b""
    while chunk := stream.read(_CHUNK):
        hashed.update(chunk)
        size += len(chunk)
        if size <= LONGEST:
            head += chunk
    return f"{algorithm}:{hashed.hexdigest()}", size, head


def needed(text: bytes) -> Needed:
    """Name what a manifest cannot be pulled without; nothing if it is none."""
    try:
        document = read(text)
        manifest = parts_of(document)
    except ValueError:
        return Needed()
    # Windows' base layers (OCI image specification, descriptor.md: `urls`).
    elsewhere = {layer.digest for layer in document.layers if layer.elsewhere}
    return Needed(tuple(blob for blob in manifest.blobs if blob not in elsewhere), manifest.children)


def _link(stream: IO[bytes]) -> str:
    """Read a link's digest; of what is none, nothing: it might be a secret that somebody linked to."""
    text = stream.read(_LONGEST_LINK).decode(errors="replace")
    return text if is_digest(text) else _NO_DIGEST


def _missing(
    tags: Tags,
    revisions: list[_Named],
    blobs: set[str],
    parts: dict[str, Needed],
    aliases: dict[_Named, str],
) -> Iterator[str]:
    known = set(revisions)
    for name, digest in revisions:
        if digest not in blobs:
            yield f"{name}: the manifest {digest} is not there"
        need = parts.get(digest, Needed())
        pushed = (child for child in need.children if (name, child) in known)
        for part in (*need.blobs, *pushed):
            if part not in blobs and aliases.get((name, part)) not in blobs:
                yield f"{name}: the manifest {digest} needs {part}, which is not there"
    for name, digests in sorted(tags.items()):
        for tag, digest in sorted(digests.items()):
            if (name, digest) not in known:
                yield f"{name}:{tag} is {digest}" + (", which is not there" if digest != _NO_DIGEST else "")
