"""`ops mirrors`: what makes each client pull through the mirrors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from config.names import Names
from config.sections.mirrors import DOCKER_HUB, Mirror
from ops.client import Client
from ops.options import AsJson, StackName
from ops.stack import Stack
from ops.terminal import say, say_json, say_lines

OwnPorts = Annotated[bool, typer.Option("--ports", help="By the mirrors' own ports instead of Traefik.")]


@dataclass(frozen=True, kw_only=True)
class Route:
    """A registry as image names spell it, and the mirror that clients are to ask before it."""

    registry: str
    upstream: str
    url: str
    logs_in: bool  # whether the mirror asks who a client is
    own_ca: bool  # whether the authority of `ops trust` signs its certificate

    @classmethod
    def of(cls, names: Names, mirror: Mirror, *, known: bool, own_port: bool) -> "Route":
        """Take it from the settings; `known` is whether the registry asks who its clients are."""
        hub = mirror.upstream == DOCKER_HUB
        return cls(
            registry="docker.io" if hub else urlsplit(mirror.upstream).netloc,
            upstream=mirror.upstream,
            url=names.mirror_port_url(mirror) if own_port else names.mirror_url(mirror),
            logs_in=known and mirror.auth == "same",
            own_ca=names.tls.mode == "registry",
        )


def mirrors(stack: StackName = None, ports: OwnPorts = False, as_json: AsJson = False) -> None:
    """Print what clients need to pull through the mirrors: dockerd, Nomad, containerd, podman."""
    client = Client.read(Stack.selected(stack))
    known = client.auth_mode != "none"
    routes = [Route.of(client.names, mirror, known=known, own_port=ports) for mirror in client.mirrors]
    if as_json:
        say_json(configurations(routes))
    elif routes:
        say_lines("\n".join(_commands(routes)))
    else:
        say(f"stack {client.stack} has no mirrors: docs/mirrors.md tells how to add one")


def configurations(routes: Sequence[Route]) -> Mapping[str, Any]:
    """Give the content of each client's file."""
    return {
        "dockerd": dockerd(routes),
        "containerd": {route.registry: hosts_toml(route) for route in routes},
        "podman": registries_conf(routes),
    }


def dockerd(routes: Sequence[Route]) -> Mapping[str, Sequence[str]]:
    """Write what goes into daemon.json. dockerd mirrors Docker Hub only, and cannot log in at a mirror."""
    urls = [route.url for route in routes if route.registry == "docker.io" and not route.logs_in]
    return {"registry-mirrors": urls} if urls else {}


def hosts_toml(route: Route) -> str:
    """Write containerd's hosts.toml of a registry (containerd: docs/hosts.md)."""
    trusted = (
        f'  ca = "/etc/containerd/certs.d/{urlsplit(route.url).netloc}/ca.crt"\n' if route.own_ca else ""
    )
    return (
        f'server = "{route.upstream}"\n\n[host."{route.url}"]\n'
        f'  capabilities = ["pull", "resolve"]\n{trusted}'
    )


def registries_conf(routes: Sequence[Route]) -> str:
    """Write a drop-in file of podman, buildah and skopeo (containers-registries.conf(5))."""
    return "\n".join("\n".join(_registry(route)) + "\n" for route in routes)


def _registry(route: Route) -> Iterator[str]:
    url = urlsplit(route.url)
    yield "[[registry]]"
    yield f'location = "{route.registry}"'
    if route.upstream.startswith("http:"):
        yield "insecure = true"
    yield "\n[[registry.mirror]]"
    yield f'location = "{url.netloc}"'
    if url.scheme == "http":
        yield "insecure = true"


def _commands(routes: Sequence[Route]) -> Iterator[str]:
    if any(route.own_ca for route in routes):
        yield "# First let clients trust the mirrors' certificates: `python -m ops trust` has the commands.\n"
    elif any(route.url.startswith("https:") for route in routes):
        yield "# Clients must trust what Traefik shows for these names; --ports is for the own ports.\n"
    yield "# dockerd, and Nomad, whose docker driver pulls by it: on each machine, as root, add this to"
    if mirrored := dockerd(routes):
        yield "# /etc/docker/daemon.json, then `systemctl reload docker`. dockerd mirrors Docker Hub only."
        yield json.dumps(mirrored)
    else:
        yield "# /etc/docker/daemon.json: nothing. dockerd mirrors Docker Hub only, and cannot log in at a"
        yield f"# mirror: it needs one of {DOCKER_HUB} with auth: none."
    yield '\n# containerd, as root, with config_path = "/etc/containerd/certs.d" in its config.toml.'
    for route in routes:
        folder = f"/etc/containerd/certs.d/{route.registry}"
        yield f"mkdir -p {folder}"
        yield f"cat > {folder}/hosts.toml <<'TOML'"
        yield hosts_toml(route) + "TOML"
    yield "\n# podman, buildah and skopeo, as root; as a user in ~/.config/containers/registries.conf.d."
    yield "cat > /etc/containers/registries.conf.d/mirrors.conf <<'TOML'"
    yield registries_conf(routes) + "TOML"
    for route in routes:
        if route.logs_in:
            url = urlsplit(route.url)
            # registries.conf lets podman pull by plain HTTP, but not log in.
            plain = "--tls-verify=false " if url.scheme == "http" else ""
            yield f"podman login {plain}{url.netloc}"
