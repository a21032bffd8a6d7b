"""The certificate authority that signs the registry's certificate, as Vault shows it to everybody."""

import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from checks.errors import CheckError
from checks.servers import Server
from config.names import Names
from config.sections.mirrors import Mirror


def authority_certificate(vault: Server, mount: str) -> str:
    """Fetch the PEM certificate of a PKI engine's issuer (Vault API: PKI, "Read issuer certificate").

    Raises CheckError if there is none.
    """
    text = vault.text(f"/v1/{mount}/ca/pem").strip()
    try:
        # Written anew: what goes on to other machines is one certificate, and nothing beside it.
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(text))
    except ValueError:
        raise CheckError(
            f"Vault at {vault.address} shows no certificate of an authority at {mount}/: `pulumi up` makes "
            "one, or set tls.authority.mount to a PKI engine that has one"
        ) from None


def certified_addresses(names: Names, mirrors: Iterable[Mirror]) -> tuple[str, ...]:
    """Name the addresses whose certificates it signs, as docker takes them: the registry's, the mirrors'."""
    urls = [url for mirror in mirrors for url in (names.mirror_port_url(mirror), names.mirror_url(mirror))]
    return (*names.client_addresses, *(urlsplit(url).netloc for url in urls))
