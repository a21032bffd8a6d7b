import datetime
import socket
import ssl
import threading

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobs.tasks import certificate as certificate_module
from jobs.tasks.certificate import CertificateError, times, validity


def certificate(start, end):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n" * 64)] * 3)  # its length takes two bytes
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-02T03:04:05", "2027-12-31T23:59:59"),
        ("2049-12-31T23:59:59", "2050-01-01T00:00:00"),  # from 2050 on another type of time is used
        ("1999-12-31T23:59:59", "9999-12-31T23:59:59"),
    ],
)
def test_start_and_end_are_those_of_the_certificate(start, end):
    start, end = (datetime.datetime.fromisoformat(f"{each}+00:00") for each in (start, end))

    assert times(certificate(start, end)) == (start.timestamp(), end.timestamp())


@pytest.fixture
def server():
    """A TLS server for one client, with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = trustme.CA().issue_cert("localhost")
    made.configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True):
            pass

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1], x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    thread.join()
    listener.close()


def test_a_server_is_asked_though_its_authority_is_unknown(server):
    port, shown = server

    expected = shown.not_valid_before_utc.timestamp(), shown.not_valid_after_utc.timestamp()
    assert validity("localhost", port, timeout=5) == expected


def test_a_server_that_is_away_is_named():
    with pytest.raises(CertificateError, match=r"no certificate from localhost:1: .*refused"):
        validity("localhost", 1, timeout=5)


def test_a_certificate_that_cannot_be_read_is_told(server, monkeypatch):
    monkeypatch.setattr(certificate_module, "times", lambda shown: times(b""))

    with pytest.raises(CertificateError, match=f"localhost:{server[0]} shows no certificate that can be"):
        validity("localhost", server[0], timeout=5)
