"""The certificate authority that signs the registry's certificate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_vault as vault

from config.registry import go_duration
from config.settings import Settings

_DAY = 24 * 3600  # seconds
_ROOT_LIFE = 3650 * _DAY


@dataclass(frozen=True, kw_only=True)
class CertificateAuthorityArgs:
    """A PKI engine for these host names; with `existing`, one that is there with its role."""

    mount: str
    description: str
    role: str
    hostnames: Sequence[str]
    certificate_ttl: int  # seconds
    existing: str | None  # certificate of an authority that is there, as PEM

    @classmethod
    def of(cls, settings: Settings, *, existing: str | None) -> Self:
        """Take them from a stack's settings."""
        return cls(
            mount=settings.pki_mount,
            description=settings.pki_description,
            role=settings.pki_role,
            hostnames=settings.certificate_names,
            certificate_ttl=go_duration(settings.tls.authority.ttl) // 10**9,
            existing=existing,
        )


class CertificateAuthority(pulumi.ComponentResource):
    """Makes a PKI engine whose one role issues server certificates for these host names, or takes one.

    Produces, unless it takes one: a Mount, a SecretBackendRootCert (its key is made in Vault and never
    leaves it) and a SecretBackendRole. Destroying it ends the authority: clients have to trust a new one
    after that.
    """

    issue_path: pulumi.Output[str]
    """Where the job asks for its certificate; known at preview."""

    certificate: pulumi.Output[str]
    """What clients have to trust, as PEM."""

    def __init__(
        self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("homelab:registry:CertificateAuthority", name, None, opts)
        if args.existing:
            self.issue_path = pulumi.Output.from_input(f"{args.mount}/issue/{args.role}")
            self.certificate = pulumi.Output.from_input(args.existing)
        else:
            self._make(name, args)
        self.register_outputs({"certificate": self.certificate})

    def _make(self, name: str, args: CertificateAuthorityArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        mount = vault.Mount(
            f"{name}-mount",
            path=args.mount,
            type="pki",
            description=args.description,
            max_lease_ttl_seconds=_ROOT_LIFE,  # else the root itself would end after Vault's 32 days
            opts=child,
        )
        root = vault.pkisecret.SecretBackendRootCert(
            f"{name}-root",
            backend=mount.path,
            type="internal",
            common_name=f"{args.role} CA",  # not the host name: another one would make another authority
            ttl=str(_ROOT_LIFE),
            key_type="ec",
            key_bits=256,
            # It goes before its successor (components/replacement.py): an engine takes a new root for its
            # default one only when it has none.
            opts=child,
        )
        role = vault.pkisecret.SecretBackendRole(
            f"{name}-role",
            backend=root.backend,
            name=args.role,
            allowed_domains=list(args.hostnames),
            allow_bare_domains=True,
            allow_localhost=False,
            allow_ip_sans=False,
            server_flag=True,
            client_flag=False,
            key_type="ec",
            key_bits=256,
            max_ttl=str(args.certificate_ttl),
            opts=child,
        )
        self.issue_path = pulumi.Output.concat(role.backend, "/issue/", role.name)
        self.certificate = root.certificate
