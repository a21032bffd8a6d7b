"""Section `tls`: who speaks TLS to clients."""

from typing import Annotated, Literal

from pydantic import Field

from config.sections.base import Port, Section, duration_between


class Authority(Section):
    """The certificate authority in Vault that signs the registry's certificate."""

    mount: str | None = Field(
        None,
        pattern=r"^[\w-]+(/[\w-]+)*$",
        description="Mount of the PKI engine that is made, or with `role` is used; named after the registry "
        "by default.",
    )
    role: str | None = Field(
        None,
        pattern=r"^[\w.-]+$",
        description="A role that is there, of the engine at `mount`: then nothing is made. Clients are given "
        "the engine's default issuer to trust.",
    )
    # A renewed certificate restarts the registry for a moment: more often than daily is no use to anybody.
    ttl: Annotated[str, duration_between("24h", "8760h")] = Field(
        "720h", description="Life of a certificate; it is renewed at nine tenths of it, without an `up`."
    )


class Tls(Section):
    """Who speaks TLS to clients."""

    mode: Literal["traefik", "registry", "plain"] = Field(
        "traefik",
        description="traefik: Traefik ends TLS for the host name. registry: the registry speaks TLS itself, "
        "with a certificate from Vault, and Traefik passes it through. plain: no TLS, and no Traefik.",
    )
    entry_point: str = Field(
        "websecure", pattern=r"^[A-Za-z0-9_-]+$", description="Traefik's TLS entry point."
    )
    port: Port = Field(443, description="Port of that entry point.")
    cert_resolver: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Traefik's certificate resolver, if it is to fetch one.",
    )
    authority: Authority = Field(Authority(), description="For mode registry.")
    allow_plain: bool = Field(
        False, description="Allow mode plain on an address that other machines reach: passwords go in clear."
    )
