"""How long the certificate holds that a server shows."""

import socket
import ssl
from datetime import UTC, datetime

_SEQUENCE_OF_VERSION, _UTC_TIME = 0xA0, 0x17  # tags of DER


class CertificateError(Exception):
    """The server shows no certificate; the message says which server and why."""


def validity(host: str, port: int, timeout: float) -> tuple[float, float]:
    """Ask a server for the certificate of its name; from when and until when it holds, as Unix time.

    Whether clients trust it is not looked at: an unknown authority's ends too. Raises CertificateError.
    """
    context = ssl._create_unverified_context()  # noqa: S323 - only the certificate is read
    try:
        with (
            socket.create_connection((host, port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=host) as tls,
        ):
            shown = tls.getpeercert(binary_form=True)
    except OSError as error:
        raise CertificateError(f"no certificate from {host}:{port}: {error}") from None
    try:
        return times(shown or b"")
    except (IndexError, ValueError):
        raise CertificateError(f"{host}:{port} shows no certificate that can be read") from None


def times(der: bytes) -> tuple[float, float]:
    """Read them out of a certificate (RFC 5280, 4.1: Certificate, TBSCertificate, Validity).

    Raises IndexError and ValueError where it is none.
    """
    _, start, _ = _element(der, 0)
    _, at, _ = _element(der, start)
    tag, _, end = _element(der, at)
    if tag == _SEQUENCE_OF_VERSION:
        at = end
    for _ in ("serial number", "signature algorithm", "issuer"):
        _, _, at = _element(der, at)
    _, first, _ = _element(der, at)
    _, _, second = _element(der, first)
    return _time(der, first), _time(der, second)


def _time(der: bytes, at: int) -> float:
    tag, start, end = _element(der, at)
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(der[start:end].decode(), form).replace(tzinfo=UTC).timestamp()


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Read the tag of the element at a place, and where its content starts and ends (X.690, 8.1)."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start])
    return tag, start, start + length
