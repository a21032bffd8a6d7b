"""The `http` section: addresses, TLS, headers and the debug server."""

from typing import Annotated

from pydantic import Field

from config.registry.section import NEEDS_3, Section, Switch
from config.registry.values import Address, Duration, Headers, Text, Url, UrlPrefix, one_of

CipherSuite = Annotated[
    str,
    one_of(
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        v2=(
            "TLS_RSA_WITH_RC4_128_SHA",
            "TLS_RSA_WITH_AES_128_CBC_SHA256",
            "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
            "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
            "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        ),
    ),
]


class LetsEncrypt(Section):
    """Certificates from an ACME server, kept in `cachefile`."""

    cachefile: Text
    email: Text | None = None
    hosts: Annotated[list[Text], Field(min_length=1)] | None = None
    directoryurl: Annotated[Url | None, NEEDS_3] = None


class Tls(Section):
    """The server's certificate, and which clients it accepts. Files are paths in the container."""

    certificate: Text | None = None
    key: Text | None = None
    clientcas: list[Text] | None = None
    minimumtls: Annotated[str, one_of("tls1.2", "tls1.3", v2=("tls1.0", "tls1.1"))] | None = None
    ciphersuites: list[CipherSuite] | None = None
    letsencrypt: LetsEncrypt | None = None
    clientauth: Annotated[
        Annotated[
            str,
            one_of(
                *("request-client-cert", "require-any-client-cert"),
                *("verify-client-cert-if-given", "require-and-verify-client-cert"),
            ),
        ]
        | None,
        NEEDS_3,
    ] = None


class Prometheus(Section):
    """Metrics on the debug server."""

    enabled: bool
    path: Annotated[str, Field(pattern="^/")] | None = None


class Debug(Section):
    """A second server with metrics, health and profiles; never to be routed to users."""

    addr: Address | None = None
    prometheus: Prometheus | None = None


class Http2(Section):
    """HTTP/2 over TLS, on by default."""

    disabled: bool


class Http(Section):
    """The registry's own server."""

    addr: Text | None = None
    net: Annotated[str, one_of("tcp", "unix")] | None = None
    host: Url | None = None
    prefix: UrlPrefix | None = None
    secret: Text | None = None
    relativeurls: bool | None = None
    draintimeout: Duration | None = None  # 0 ends the process at once, with exit code 2
    tls: Tls | None = None
    headers: Headers | None = None
    debug: Debug | None = None
    http2: Http2 | None = None
    h2c: Annotated[Switch | None, NEEDS_3] = None
