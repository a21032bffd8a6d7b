"""Traefik: TLS in front of what Consul's catalogue lists, with a certificate of the cluster's own CA."""

import time

import httpx
import trustme
import yaml

from devcluster import consul
from devcluster.files import PRIVATE, write
from devcluster.instance import HOSTNAME, LOOPBACK, Instance
from devcluster.servers import Server, answers


def config(instance: Instance) -> dict[str, object]:
    """Traefik's static configuration."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "entryPoints": {
            "websecure": {
                "address": f"{LOOPBACK}:{instance.ports.traefik_tls}",
                "http": {"tls": {}},
                # The default of 60 s would cut the push of a big layer.
                "transport": {"respondingTimeouts": {"readTimeout": "0s"}},
            },
            "traefik": {"address": f"{LOOPBACK}:{instance.ports.traefik_api}"},
        },
        "ping": {},
        "api": {"insecure": True, "dashboard": False},
        "providers": {
            "consulCatalog": {
                "endpoint": {
                    "address": f"{LOOPBACK}:{instance.ports.consul_http}",
                    "scheme": "http",
                    "token": consul.token(instance, consul.TRAEFIK),
                },
                "exposedByDefault": False,
                "refreshInterval": "2s",
            },
            "file": {"filename": str(instance.root / "traefik" / "tls.yml"), "watch": False},
        },
    }


def certificates(instance: Instance) -> dict[str, object]:
    """Traefik's dynamic configuration: the certificate for every name."""
    folder = instance.ca_certificate.parent
    pair = {"certFile": str(folder / "server.crt"), "keyFile": str(folder / "server.key")}
    return {"tls": {"stores": {"default": {"defaultCertificate": pair}}}}


def prepare(instance: Instance) -> None:
    """Make the CA and the server's certificate once; the CA stays the same, so trusting it is done once."""
    folder = instance.ca_certificate.parent
    if (folder / "server.key").exists():
        return
    authority = trustme.CA(organization_name="Docker registry cluster on this machine")
    certificate = authority.issue_cert(HOSTNAME, "*.homelab.local", "localhost", LOOPBACK)
    chain = "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems)
    write(instance.ca_certificate, authority.cert_pem.bytes().decode())
    write(folder / "ca.key", authority.private_key_pem.bytes().decode(), mode=PRIVATE)
    write(folder / "server.crt", chain)
    write(folder / "server.key", certificate.private_key_pem.bytes().decode(), mode=PRIVATE)


def wait_for_route(instance: Instance, seconds: float = 30) -> bool:
    """Whether Traefik routes the registry's name; it sees a deploy a few seconds later (in seconds)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        routers = httpx.get(f"{instance.traefik_address}/api/http/routers", trust_env=False).json()
        if any(router["provider"] == "consulcatalog" for router in routers):
            return True
        time.sleep(0.2)
    return False


def server(instance: Instance) -> Server:
    """Traefik as a server of the cluster."""
    folder = instance.root / "traefik"
    file = folder / "traefik.yml"
    return Server(
        name="traefik",
        command=(str(instance.bin / "traefik"), f"--configFile={file}"),
        files={
            file: yaml.safe_dump(config(instance), sort_keys=False),
            folder / "tls.yml": yaml.safe_dump(certificates(instance)),
        },
        ports={
            "Traefik's TLS entry point": instance.ports.traefik_tls,
            "Traefik's API": instance.ports.traefik_api,
        },
        healthy=lambda: answers(f"{instance.traefik_address}/ping"),
        address=f"https://{HOSTNAME}:{instance.ports.traefik_tls}",
    )
