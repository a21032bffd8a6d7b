"""Whether images move: what came of pushing one, only with `--write`."""

import base64
import json
from urllib.parse import urlsplit

from checks.docker_login import Login
from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.doctor.login import client_of, login_at, speaks_plain
from checks.doctor.maintenance import always_read_only
from checks.doctor.probe import MIB, Probe, probe
from checks.doctor.traefik import body_limits
from checks.errors import CheckError

_REPOSITORY = "doctor/probe"
# What answers 413 by the name that it gives in `Server`, and what to do about its limit.
_LIMITS = {
    "cloudflare": "let {hostname} resolve to Traefik's own address in your network: Cloudflare takes 100 MB",
    "nginx": "client_max_body_size 0;   # in nginx's configuration, then: nginx -s reload",
}


def image_moves(facts: Facts) -> Finding:
    """An image can be pushed, pulled and deleted.

    Symptom: `docker push` fails, though the log-in works.

    Cause: The registry is read-only, may not write its volume, has no room, or the log-in may not push or
    delete. 413: something on the way limits the size of a request; `--up-to 200MiB` tries that.

    Fix: what the message names; the registry's log has the reason of a 500.
    """
    found = _probes(facts)
    if bad := [each for each in found if each.problem]:
        what = "; ".join(f"{each.address}: {each.problem}" for each in bad)
        if any(each.status == 405 for each in bad):
            return failure(what, _writable(facts))
        if large := [each for each in bad if each.status == 413]:
            return failure(what, "\n".join(dict.fromkeys(_limit(facts, each) for each in large)))
        allocation = facts.allocation()
        return failure(what, facts.nomad("alloc logs -stderr", allocation["ID"]) if allocation else facts.why)
    if left := {each.address: each.left for each in found if each.left}:
        what = "; ".join(f"{address}: {each.what}" for address, each in left.items())
        forbidden = [address for address, each in left.items() if each.forbidden]
        allowed = f"{facts.set('registry.config.storage.delete.enabled', 'true')}\n{facts.up}"
        return warning(what, _log_in(facts, forbidden[0]) if forbidden else allowed)
    size = f", with layers of up to {facts.write_up_to // MIB} MiB" if facts.write_up_to else ""
    addresses = " and ".join(each.address for each in found)
    return ok(f"an image was pushed, pulled and deleted at {addresses}{size}")


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
    for each in _probes(facts):
        url = urlsplit(each.location or "")
        if url.netloc and (url.scheme, url.netloc) != _origin(facts, each.address):
            wrong.append(f"at {each.address} it sends clients to {url.scheme}://{url.netloc}")
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


def _writable(facts: Facts) -> str:
    if always_read_only(facts):
        return f"{facts.remove('registry.config.storage.maintenance.readonly')}\n{facts.up}"
    return facts.ops("thaw --yes")


def _limit(facts: Facts, refused: Probe) -> str:
    """Say who takes no request of this size: the registry has no limit for layers."""
    server = refused.refused.headers.get("Server", "") if refused.refused is not None else ""
    for name, advice in _LIMITS.items():
        if name in server.lower():
            return advice.format(hostname=facts.settings.registry.hostname)
    others = f"what is before {refused.address}, as a proxy or a tunnel, has a limit"
    if refused.address != facts.settings.traefik_address:
        return others
    try:
        names = body_limits(facts)
    except CheckError:
        names = []
    found = " and ".join(names) or f"give --traefik-api to see which; if there is none, {others}"
    return f"buffering.maxRequestBodyBytes: 0   # of Traefik's middleware: {found}"


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
            found.append(probe(client, address, _repository(login), up_to=facts.write_up_to))
    if not found:
        raise CheckError(f"docker is not logged in at {' or '.join(settings.client_addresses)}")
    return found


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
