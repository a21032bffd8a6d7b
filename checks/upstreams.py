"""Whether the mirrors' users may log in at their upstreams: Docker passes over a mirror that fails."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from checks.errors import CheckError
from checks.proxies import EnvironmentTransport
from config.registry import RegistryVersion
from config.sections.mirrors import Mirror
from config.settings import Settings

_SECONDS = 10
_REFUSED = (401, 403)


def problems(settings: Settings) -> list[str]:
    """List the users that an upstream refuses. One that does not answer here may answer to the mirror."""
    mirrors = {index: mirror for index, mirror in enumerate(settings.mirrors.root) if mirror.password}
    if not mirrors:
        return []
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda mirror: _refusal(mirror, settings.registry_version), mirrors.values())
        return [
            f"docker-registry:mirrors[{index}]: {reason}"
            for index, reason in zip(mirrors, found, strict=True)
            if reason
        ]


def _refusal(mirror: Mirror, version: RegistryVersion) -> str | None:
    """Log in as the mirror does (distribution: registry/proxy/proxyauth.go)."""
    login = httpx.BasicAuth(mirror.username or "", mirror.password or "")
    try:
        with httpx.Client(timeout=_SECONDS, transport=EnvironmentTransport()) as client:
            url = f"{mirror.upstream}/v2/"
            asked = client.get(url)
            if asked.status_code != 401:
                return None
            challenge = asked.headers.get("WWW-Authenticate", "")
            if challenge.lower().startswith("basic"):
                if version is RegistryVersion.V2:
                    return (
                        f"{mirror.upstream} asks for a password itself, and 2.x logs in at token servers "
                        "only: set registry.image to 3.x"
                    )
                answer = client.get(url, auth=login)
            else:
                fields = _fields(challenge)
                if not _may_know(mirror.upstream, fields.get("realm", "")):
                    return None
                service = {"service": fields["service"]} if "service" in fields else {}
                answer = client.get(httpx.URL(fields["realm"]).copy_merge_params(service), auth=login)
    except (httpx.HTTPError, CheckError):
        return None
    if answer.status_code not in _REFUSED:
        return None
    return (
        f"{mirror.upstream} refuses the user of mirror {mirror.name} with this password "
        f"({answer.status_code}): set username and password anew"
    )


def _fields(challenge: str) -> Mapping[str, str]:
    """Read `Bearer realm="…",service="…"` (RFC 6750)."""
    return dict(re.findall(r'(\w+)="([^"]*)"', challenge))


def _may_know(upstream: str, realm: str) -> bool:
    """Whether a token server is the upstream's own, as Docker Hub's is: a mirror logs in at no other."""
    one, other = urlsplit(upstream), urlsplit(realm)
    if one.netloc == other.netloc:
        return one.scheme == other.scheme
    domains = {tuple((url.hostname or "").split(".")[-2:]) for url in (one, other)}
    return one.scheme == other.scheme and len(domains) == 1 and not domains.pop()[-1].isdigit()
