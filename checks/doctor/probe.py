"""An image of a test, pushed, pulled and deleted again at one address, and then bigger and bigger layers."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urljoin, urlsplit

import httpx

_TAG, _TYPE = "doctor-probe", "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MIB = 2**20
_SLOWEST = MIB // 4  # bytes per second: who keeps a whole request before he passes it on answers late


@dataclass(frozen=True, kw_only=True)
class Left:
    """A part of the image that is still there, and why."""

    what: str
    forbidden: bool  # the log-in may not delete


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How pushing and pulling went at one address."""

    address: str
    problem: str | None
    refused: httpx.Response | None  # the answer that was the problem, if one was
    location: str | None  # of an upload, as the registry sent it
    left: Left | None  # what could not be deleted

    @property
    def status(self) -> int | None:
        """The status of the answer that was the problem."""
        return self.refused.status_code if self.refused is not None else None


class _StepError(Exception):
    """A step of the probe did not do what it must; the message says which, and how it was answered."""

    def __init__(self, step: str, answer: httpx.Response) -> None:
        super().__init__(f"{step}: {answer.status_code} {' '.join(answer.text.split())[:200]}".rstrip())
        self.answer = answer


@dataclass(frozen=True)
class _Layer:
    """So many bytes, others each time: they are really written, and deleting them takes none of an image."""

    size: int
    _block: bytes = field(default_factory=lambda: secrets.token_bytes(MIB), repr=False)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, self.size, MIB):
            yield self._block[: self.size - start]

    @cached_property
    def digest(self) -> str:
        return digest_of(self)

    @property
    def words(self) -> str:
        return f"{self.size // MIB} MiB" if self.size % MIB == 0 else f"{self.size} bytes"


def probe(client: httpx.Client, address: str, repository: str, *, up_to: int) -> Probe:
    """Try what clients do. After the image come layers of ten times the size each, up to `up_to` bytes."""
    location, problem, refused = None, None, None
    content, config = secrets.token_bytes(64), json.dumps({"probe": secrets.token_hex(32)}).encode()
    layer, manifest = digest_of([content]), _manifest(config, content)
    blobs = [layer, digest_of([config])]
    base = f"/v2/{repository}"
    try:
        location = _push(client, base, content)
        _push(client, base, config)
        _step(
            "push", client.put(f"{base}/manifests/{_TAG}", content=manifest, headers={"Content-Type": _TYPE})
        )
        pulled = _step("pull", client.get(f"{base}/manifests/{_TAG}", headers={"Accept": _TYPE})).content
        blob = _step("pull", client.get(f"{base}/blobs/{layer}", follow_redirects=True)).content
        if (pulled, blob) != (manifest, content):
            problem = "what was pulled is not what was pushed"
        else:
            problem = _grow(client, base, up_to, blobs)
    except _StepError as error:
        problem, refused = str(error), error.answer
    except httpx.TransportError as error:
        problem = str(error) or type(error).__name__
    finally:
        pushed = (f"manifests/{digest_of([manifest])}", *(f"blobs/{digest}" for digest in blobs))
        left = _delete(client, repository, pushed)
    return Probe(address=address, problem=problem, refused=refused, location=location, left=left)


def _sizes(up_to: int) -> list[int]:
    sizes, size = [], MIB
    while size < up_to:
        sizes.append(size)
        size *= 10
    return [*sizes, up_to] if up_to else []


def _grow(client: httpx.Client, base: str, up_to: int, blobs: list[str]) -> str | None:
    """Push bigger and bigger layers, to be found in `blobs`, and pull each; what was wrong with one.

    Raises _StepError.
    """
    for layer in map(_Layer, _sizes(up_to)):
        blobs.append(layer.digest)
        _push_layer(client, base, layer)
        pulled = hashlib.sha256()
        with client.stream("GET", f"{base}/blobs/{layer.digest}", follow_redirects=True) as answer:
            if not answer.is_success:
                answer.read()
            _step(f"pull of a layer of {layer.words}", answer)
            for chunk in answer.iter_bytes():
                pulled.update(chunk)
        if f"sha256:{pulled.hexdigest()}" != layer.digest:
            return f"of a layer of {layer.words} something else came back"
    return None


def _push_layer(client: httpx.Client, base: str, layer: _Layer) -> None:
    """Push in one request, as clients do. Raises _StepError; what came of it is not kept."""
    step = f"push of a layer of {layer.words}"
    place = _place(client, _step(step, client.post(f"{base}/blobs/uploads/")).headers["Location"])
    try:
        answer = client.put(
            f"{place}digest={layer.digest}",
            content=iter(layer),
            headers={"Content-Length": str(layer.size), "Content-Type": "application/octet-stream"},
            timeout=httpx.Timeout(30 + layer.size / _SLOWEST, connect=5),
        )
        _step(step, answer)
    except BaseException as error:
        with suppress(httpx.TransportError):
            client.delete(place.rstrip("?&"))
        if isinstance(error, httpx.TransportError):
            raise type(error)(f"{step}: {error or type(error).__name__}") from None
        raise


def _manifest(config: bytes, layer: bytes) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [_descriptor("application/octet-stream", layer)],
        }
    ).encode()


def _descriptor(kind: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": digest_of([content]), "size": len(content)}


def _delete(client: httpx.Client, repository: str, paths: Iterable[str]) -> Left | None:
    """Delete what is there of these; the first that stays."""
    left = None
    for path in paths:
        what = f"{repository}/{path} cannot be deleted"
        try:
            status = client.delete(f"/v2/{repository}/{path}").status_code
        except httpx.TransportError as error:
            return left or Left(what=f"{what}: {error or type(error).__name__}", forbidden=False)
        forbidden = status in (401, 403)
        reason = ", the log-in may not" if forbidden else ""
        if status not in (202, 404):
            left = left or Left(what=f"{what} ({status}{reason})", forbidden=forbidden)
    return left


def _push(client: httpx.Client, base: str, content: bytes) -> str:
    """Push a blob; the Location of its upload (OCI distribution specification, "Pushing blobs")."""
    location = str(_step("push", client.post(f"{base}/blobs/uploads/")).headers["Location"])
    _step("push", client.put(f"{_place(client, location)}digest={digest_of([content])}", content=content))
    return location


def _place(client: httpx.Client, location: str) -> str:
    """Where an upload goes on: to where the client came from, wherever the Location leads."""
    place = urlsplit(urljoin(str(client.base_url), location))
    return f"{place.path}?{place.query}&" if place.query else f"{place.path}?"


def _step(step: str, answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise _StepError(step, answer)
    return answer


def digest_of(content: Iterable[bytes]) -> str:
    """Name a content as registries do."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"
