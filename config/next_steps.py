"""What to do after `pulumi up`, to be followed line by line."""

import re
import shlex
from collections.abc import Iterator

from config.settings import Settings

# Of a repository's name (OCI distribution specification, "Pulling manifests"); users have other names too.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)


def next_steps(settings: Settings) -> str:
    """Write the steps from a running registry to a pushed image."""
    return "\n".join(_numbered([_name(settings), _trust(settings), _login(settings), _push(settings)]))


def _numbered(steps: list[list[str]]) -> Iterator[str]:
    for number, (first, *lines) in enumerate(filter(None, steps), start=1):
        yield f"{number}. {first}"
        yield from (line if line.startswith("   ") else f"     {line}" for line in lines)


def _address(settings: Settings) -> str:
    return settings.traefik_address or settings.registry_address


def _name(settings: Settings) -> list[str]:
    plain = settings.tls.mode == "plain"
    machine = "Nomad's client with the registry" if plain else "Traefik"
    return [
        f"Let {settings.registry.hostname} resolve to the machine that runs {machine}, "
        "by DNS or in /etc/hosts."
    ]


def _trust(settings: Settings) -> list[str]:
    address, hostname = _address(settings), settings.registry.hostname
    if settings.tls.mode == "registry":
        return [
            "On each machine with Docker, as root, trust the registry's certificate authority",
            "   (`python -m ops trust` has the commands for other clients):",
            *(f"mkdir -p /etc/docker/certs.d/{each}" for each in settings.client_addresses),
            *(
                f"python -m ops trust --stack {settings.stack} --pem >/etc/docker/certs.d/{each}/ca.crt"
                for each in settings.client_addresses
            ),
        ]
    if settings.tls.mode == "plain":
        if settings.access.bound_address and settings.access.bound_address.is_loopback:
            return []
        return [
            f'On each machine with Docker, put "insecure-registries": ["{address}"] into '
            "/etc/docker/daemon.json and reload dockerd."
        ]
    return [
        "On each machine with Docker, as root, trust the certificate that Traefik shows",
        "   (compare the fingerprint; not needed if a public authority signed it):",
        f"mkdir -p /etc/docker/certs.d/{address}",
        f"openssl s_client -connect {hostname}:{settings.tls.port} -servername {hostname} </dev/null"
        f" 2>/dev/null | openssl x509 -fingerprint -sha256 -out /etc/docker/certs.d/{address}/ca.crt",
    ]


def _login(settings: Settings) -> list[str]:
    address, auth = _address(settings), settings.auth
    match auth.mode:
        case "none":
            return []
        case "vault":
            grant = _grant(settings)
            return [
                "Log in to Vault (bao login …, or --method), and let it sign a token:",
                f"python -m ops login {grant} --stack {settings.stack}",
            ]
        case "external":
            return ["Log in:", f"docker login {address}"]
    user = min(auth.users, default=None)
    if user is None:
        prepare = ["python -m ops users set alice", "pulumi up"]
        return ["Log in:", *prepare, f"docker login --username alice {address}"]
    return ["Log in:", f"docker login --username {shlex.quote(user)} {address}"]


def _push(settings: Settings) -> list[str]:
    image = f"{_address(settings)}/{_repository(settings)}:1"
    return [
        "Push an image, here the registry's own, and pull it back:",
        f"docker tag {settings.registry.image} {image}",
        f"docker push {image}",
        f"docker pull {image}",
    ]


def _repository(settings: Settings) -> str:
    if settings.auth.mode == "vault":
        repositories = settings.auth.grants[_grant(settings)].repositories
        return min(repositories, key=lambda name: ("push" not in repositories[name], name))
    user = min(settings.auth.users, default="alice")
    return f"{user}/hello" if _COMPONENT.fullmatch(user) else "hello"


def _grant(settings: Settings) -> str:
    """Choose a grant to show: one that pushes, if there is one."""
    grants = settings.auth.grants
    pushes = {name: any("push" in each for each in grants[name].repositories.values()) for name in grants}
    return min(grants, key=lambda name: (not pushes[name], name))
