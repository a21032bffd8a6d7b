"""The certificate that a server shows for a name, and whether clients on this machine take it."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.errors import CheckError
from jobs.tasks.certificate import times

DOCKER_CERTIFICATES = Path("/etc/docker/certs.d")  # dockerd's own folder
_TIMEOUT = 10  # seconds; on the same network
_NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which ssl does not name


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What matters of a certificate; times are Unix times in seconds."""

    start: float
    end: float
    names: tuple[str, ...]
    issuer: str


class NotTrusted(CheckError):  # noqa: N818 - it is no error of ours
    """The certificate was refused; the message is OpenSSL's reason."""


def shown_certificate(host: str, port: int, name: str) -> Certificate:
    """Read the certificate, whoever signed it and whether or not it has ended. Raises CheckError."""
    unverified = ssl._create_unverified_context()  # noqa: S323 - only the certificate is read
    _, content = _greet(unverified, host, port, name)
    # Python reads only the fields of a certificate that was verified: so it is trusted itself, for once.
    itself = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    itself.check_hostname = False
    itself.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(content))
    itself.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    fields, _ = _greet(itself, host, port, name)
    start, end = times(content)
    return Certificate(
        start=start,
        end=end,
        names=tuple(value for _, value in fields.get("subjectAltName", ())),
        issuer=", ".join(value for part in fields["issuer"] for _, value in part),
    )


def require_trusted(context: ssl.SSLContext, host: str, port: int, name: str) -> None:
    """Raise NotTrusted unless the certificate is for the name and verifies by `context`; else CheckError."""
    _greet(context, host, port, name)


def docker_trust(address: str, folder: Path = DOCKER_CERTIFICATES) -> ssl.SSLContext:
    """Trust what dockerd trusts for an address: the system's authorities, and the `*.crt` of its folder."""
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Go does
    for file in sorted((folder / address).glob("*.crt")):
        try:
            context.load_verify_locations(cafile=file)
        except (OSError, ssl.SSLError) as error:
            raise CheckError(f"cannot read {file}: {error}") from None
    return context


def _greet(context: ssl.SSLContext, host: str, port: int, name: str) -> tuple[dict[str, Any], bytes]:
    """Connect; the fields of the certificate, which are empty if it was not verified, and its content."""
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=name) as tls,
        ):
            return dict(tls.getpeercert() or {}), tls.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        raise NotTrusted(error.verify_message) from None
    except OSError as error:
        raise CheckError(f"{host}:{port} shows no certificate: {error}") from None
