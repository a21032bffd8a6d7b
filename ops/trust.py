"""`ops trust`: what makes each client trust the registry's certificate."""

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import typer

from checks.authority import authority_certificate, certified_addresses
from checks.servers import Server
from config.names import Names
from ops.client import Client
from ops.options import StackName
from ops.stack import Stack, StackError
from ops.terminal import say_lines

Pem = Annotated[bool, typer.Option("--pem", help="Print the CA's certificate and nothing else.")]

_FILE = "registry-ca.crt"


def trust(stack: StackName = None, pem: Pem = False) -> None:
    """Print the commands that make clients trust the registry: dockerd, containerd, podman, crane, DSM."""
    client = Client.read(Stack.selected(stack))
    names = client.names
    mode = names.tls.mode
    if pem and mode != "registry":
        raise StackError(f"stack {client.stack} has tls.mode {mode}: only mode registry has a CA of its own")
    if pem:
        say_lines(ca_certificate(client), nl=False)
    elif mode == "registry":
        addresses = certified_addresses(names, client.mirrors)
        say_lines("\n".join([*_given(ca_certificate(client)), *_trusted(addresses)]))
    elif mode == "traefik" and names.traefik_address:
        say_lines("\n".join([*_shown(names), *_trusted((names.traefik_address,))]))
    else:
        say_lines("\n".join(_plain(names.registry_address)))


def ca_certificate(client: Client) -> str:
    """Fetch the CA's certificate from Vault, which shows it to everybody."""
    with closing(Server(client.vault, None)) as vault:
        return authority_certificate(vault, client.names.pki_mount)


def _given(pem: str) -> Iterator[str]:
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    pairs = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    yield f"# The registry's CA. SHA-256 fingerprint: {pairs}"
    yield f"cat > {_FILE} <<'PEM'"
    yield pem.rstrip()
    yield "PEM"


def _shown(names: Names) -> Iterator[str]:
    host, port = names.registry.hostname, names.tls.port
    yield "# The certificate that Traefik shows. Compare the fingerprint with whoever runs Traefik."
    yield "# A certificate of a public authority is trusted already: then nothing here is needed."
    yield (
        f"openssl s_client -connect {host}:{port} -servername {host} </dev/null 2>/dev/null "
        f"| openssl x509 -fingerprint -sha256 -out {_FILE}"
    )


def _trusted(addresses: tuple[str, ...]) -> Iterator[str]:
    yield "\n# dockerd, as root. It needs no restart."
    for address in addresses:
        yield f"install -D -m 644 {_FILE} /etc/docker/certs.d/{address}/ca.crt"
    yield '\n# containerd, as root, with config_path = "/etc/containerd/certs.d" in its config.toml.'
    for address in addresses:
        folder = f"/etc/containerd/certs.d/{address}"
        yield f"install -D -m 644 {_FILE} {folder}/ca.crt"
        yield f"cat > {folder}/hosts.toml <<'TOML'"
        yield f'server = "https://{address}"'
        yield f'[host."https://{address}"]'
        yield f'  ca = "{folder}/ca.crt"'
        yield "TOML"
    yield "\n# podman, skopeo and buildah, as root; as a user in ~/.config/containers/certs.d."
    for address in addresses:
        yield f"install -D -m 644 {_FILE} /etc/containers/certs.d/{address}/ca.crt"
    yield "\n# crane: this file in place of the system's authorities, for commands of this shell."
    yield f'export SSL_CERT_FILE="$PWD/{_FILE}"'
    yield "\n# Synology Container Manager: by SSH as root on the NAS. Not run by our tests."
    for address in addresses:
        folder = f"/etc/docker/certs.d/{address}"
        yield f"# mkdir -p {folder} && cp {_FILE} {folder}/ca.crt"


def _plain(address: str) -> Iterator[str]:
    yield f"# {address} speaks plain HTTP: passwords and tokens go over the network in clear."
    yield "\n# dockerd: in /etc/docker/daemon.json, then `systemctl reload docker`."
    yield f'{{"insecure-registries": ["{address}"]}}'
    yield "\n# containerd: in /etc/containerd/certs.d/" + address + "/hosts.toml."
    yield f'server = "http://{address}"'
    yield "\n# podman, skopeo and buildah: in /etc/containers/registries.conf.d/registry.conf."
    yield "[[registry]]"
    yield f'location = "{address}"'
    yield "insecure = true"
    yield "\n# crane: crane --insecure …"
    yield "\n# Synology Container Manager: the same line as dockerd's, in"
    yield "# /var/packages/ContainerManager/etc/dockerd.json; then restart the package. Not run by our tests."
