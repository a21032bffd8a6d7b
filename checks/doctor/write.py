"""A tiny image, pushed, pulled and deleted again: only with `--write`."""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from checks.docker_login import Login
from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.doctor.login import client_of, login_at, speaks_plain
from checks.errors import CheckError

_TAG, _TYPE = "doctor-probe", "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_REPOSITORY = "doctor/probe"


@dataclass(frozen=True, kw_only=True)
class _Left:
    """A part of the image that is still there, and why."""

    what: str
    forbidden: bool  # the log-in may not delete


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How pushing and pulling went at one address."""

    address: str
    problem: str | None
    read_only: bool
    location: str | None  # of an upload, as the registry sent it
    left: _Left | None  # what could not be deleted


def image_moves(facts: Facts) -> Finding:
    """An image can be pushed, pulled and deleted.

    Symptom: `docker push` fails, though the log-in works.

    Cause: The registry is read-only, may not write its volume, has no room, or the log-in may not push or
    delete.

    Fix: what the message names; the registry's log has the reason of a 500.
    """
    found = _probes(facts)
    if bad := [probe for probe in found if probe.problem]:
        what = "; ".join(f"{probe.address}: {probe.problem}" for probe in bad)
        if any(probe.read_only for probe in bad):
            return failure(what, facts.ops("thaw --yes"))
        allocation = facts.allocation()
        return failure(what, facts.nomad("alloc logs -stderr", allocation["ID"]) if allocation else facts.why)
    if left := {probe.address: probe.left for probe in found if probe.left}:
        what = "; ".join(f"{address}: {each.what}" for address, each in left.items())
        forbidden = [address for address, each in left.items() if each.forbidden]
        allowed = f"{facts.set('registry.config.storage.delete.enabled', 'true')}\n{facts.up}"
        return warning(what, _log_in(facts, forbidden[0]) if forbidden else allowed)
    return ok(f"an image was pushed, pulled and deleted at {' and '.join(probe.address for probe in found)}")


def location_right(facts: Facts) -> Finding:
    """The registry sends clients to an address that they can reach.

    Symptom: `docker push` hangs or fails after the first request; the address in the error has another
    scheme or port.

    Cause: Behind a proxy, `http.relativeurls` is off and `http.host` is not the name that clients use.

    Fix: `pulumi config set --path docker-registry:registry.config.http.relativeurls true`, then `pulumi
    up`.
    """
    if not facts.write:
        return _by_settings(facts)
    wrong = []
    for probe in _probes(facts):
        url = urlsplit(probe.location or "")
        if url.netloc and (url.scheme, url.netloc) != _origin(facts, probe.address):
            wrong.append(f"at {probe.address} it sends clients to {url.scheme}://{url.netloc}")
    if not wrong:
        return ok("Location headers lead where the client came from")
    return failure("; ".join(wrong), _relative(facts))


CHECKS = (image_moves, location_right)


def _by_settings(facts: Facts) -> Finding:
    """Say what is known without asking for an upload."""
    http, url = facts.settings.registry_config["http"], facts.settings.registry_url
    if http.get("relativeurls"):
        return ok("http.relativeurls is on: Location headers name no address")
    host = (http.get("host") or "").rstrip("/")
    if host == url:
        return ok(f"http.host is {host}, which clients use")
    if host:
        return warning(f"http.host is {host}, and clients use {url}", _relative(facts))
    return not_looked_at("http.relativeurls is off, so the proxy decides; --write shows it")


def _log_in(facts: Facts, address: str) -> str:
    """Log in as somebody who may delete."""
    auth = facts.settings.auth
    if auth.mode != "vault":
        return f"docker login {address}   # as somebody who may delete"
    grants = [
        name
        for name, grant in auth.grants.items()
        if any({"push", "delete"} <= set(actions) for actions in grant.repositories.values())
    ]
    login = facts.ops(f"login {min(grants, default='GRANT')}")
    return f"{login}   # a grant with push and delete"


def _relative(facts: Facts) -> str:
    """Let the registry name no address; http.host would win over that (handlers/app.go)."""
    lines = [facts.set("registry.config.http.relativeurls", "true"), facts.up]
    if facts.settings.registry_config["http"].get("host"):
        lines.insert(0, facts.remove("registry.config.http.host"))
    return "\n".join(lines)


def _probes(facts: Facts) -> list[Probe]:
    """Try each address with a log-in. Raises CheckError if that is not wanted or there is none."""
    if not facts.write:
        raise CheckError("only with --write")
    return facts.recall("probes", lambda: _probe_all(facts))


def _probe_all(facts: Facts) -> list[Probe]:
    settings, found = facts.settings, []
    for address in settings.client_addresses:
        login = login_at(facts, address)
        if login is None and settings.auth.mode != "none":
            continue
        with client_of(facts, address) as client:
            if login:
                client.auth = login
            found.append(_probe(client, address, _repository(login)))
    if not found:
        raise CheckError(f"docker is not logged in at {' or '.join(settings.client_addresses)}")
    return found


class _StepError(Exception):
    """A step of the probe did not do what it must; the message says which, and how it was answered."""

    def __init__(self, step: str, answer: httpx.Response) -> None:
        super().__init__(f"{step}: {answer.status_code} {' '.join(answer.text.split())[:200]}".rstrip())
        self.read_only = answer.status_code == 405


def _probe(client: httpx.Client, address: str, repository: str) -> Probe:
    location, problem, read_only = None, None, False
    # New each time: so they are really written, and no other image loses them when they are deleted.
    content, config = secrets.token_bytes(64), json.dumps({"probe": secrets.token_hex(32)}).encode()
    layer, manifest = _digest(content), _manifest(config, content)
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
    except _StepError as error:
        problem, read_only = str(error), error.read_only
    except httpx.TransportError as error:
        problem = str(error) or type(error).__name__
    finally:
        pushed = (f"manifests/{_digest(manifest)}", f"blobs/{layer}", f"blobs/{_digest(config)}")
        left = _delete(client, repository, pushed)
    return Probe(address=address, problem=problem, read_only=read_only, location=location, left=left)


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
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _delete(client: httpx.Client, repository: str, paths: Iterable[str]) -> _Left | None:
    """Delete what is there of these; the first that stays."""
    left = None
    for path in paths:
        what = f"{repository}/{path} cannot be deleted"
        try:
            status = client.delete(f"/v2/{repository}/{path}").status_code
        except httpx.TransportError as error:
            return left or _Left(what=f"{what}: {error or type(error).__name__}", forbidden=False)
        forbidden = status in (401, 403)
        reason = ", the log-in may not" if forbidden else ""
        if status not in (202, 404):
            left = left or _Left(what=f"{what} ({status}{reason})", forbidden=forbidden)
    return left


def _push(client: httpx.Client, base: str, content: bytes) -> str:
    """Push a blob; the Location of its upload (OCI distribution specification, "Pushing blobs")."""
    location = _step("push", client.post(f"{base}/blobs/uploads/")).headers["Location"]
    place = urlsplit(urljoin(str(client.base_url), location))
    # To where the client came from, wherever the Location leads.
    query = f"{place.query}&" if place.query else ""
    _step("push", client.put(f"{place.path}?{query}digest={_digest(content)}", content=content))
    return str(location)


def _step(step: str, answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise _StepError(step, answer)
    return answer


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _repository(login: Login | None) -> str:
    """Choose where to push: with a token, a repository that it opens for that, if it can for deletes too."""
    token = login.token if login else None
    if token is None:
        return _REPOSITORY
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    opened = [access for access in claims.get("access", ()) if "push" in access["actions"]]
    if not opened:
        raise CheckError("docker's token may push nowhere: log in with a grant that pushes")
    return str(max(opened, key=lambda access: "delete" in access["actions"])["name"])


def _origin(facts: Facts, address: str) -> tuple[str, str]:
    return ("http" if speaks_plain(facts.settings, address) else "https"), address
