"""Names and addresses that follow from sections `registry` and `tls` alone."""

from config.sections.base import Section
from config.sections.mirrors import Mirror
from config.sections.registry import Registry
from config.sections.tls import Tls

# Kinds of maintenance that have a job. Those of jobs/store_reading.py last for one command, have no port and
# write to no volume.
_MAINTENANCE = (
    "gc",
    "gc-dry-run",
    "backup",
    "drill",
    "snapshots",
    "restore",
    "retention",
    "retention-apply",
    "scan",
    "mirrors-evict",
)
# Where `ops login` and Vault's own CLI wait for the browser (Vault: JWT/OIDC auth, "Redirect URIs").
OIDC_CALLBACK = "http://localhost:8250/oidc/callback"


class Names(Section):
    """What servers and clients know the stack by; a client needs no more of the settings."""

    registry: Registry
    tls: Tls

    @property
    def registry_address(self) -> str:
        """The registry's own port, as docker and crane take it; Traefik's if there are several instances."""
        if self.registry.is_shared and self.traefik_address:
            return self.traefik_address
        return f"{self.registry.hostname}:{self.registry.port}"

    @property
    def traefik_address(self) -> str | None:
        """The name that Traefik serves, as docker and crane take it; None where Traefik is not in the way."""
        if self.tls.mode == "plain":
            return None
        return self.registry.hostname + ("" if self.tls.port == 443 else f":{self.tls.port}")

    @property
    def client_addresses(self) -> tuple[str, ...]:
        """Every address that clients use."""
        return tuple(dict.fromkeys(filter(None, (self.registry_address, self.traefik_address))))

    @property
    def registry_url(self) -> str:
        """The URL that people use."""
        if self.traefik_address:
            return f"https://{self.traefik_address}"
        return f"http://{self.registry_address}"

    def grant_role(self, grant: str) -> str:
        """Vault's identity token role of a grant, and the policy that may read a token of it."""
        return f"{self.registry.name}-{grant}"

    @property
    def keys_job(self) -> str:
        """Nomad job, policy and role of what keeps the key set current."""
        return f"{self.registry.name}-keys"

    @property
    def pull_job(self) -> str:
        """Nomad job, policy and role of what keeps the auth file of Nomad's clients fresh."""
        return f"{self.registry.name}-pull"

    def maintenance_job(self, kind: str) -> str:
        """Nomad job, policy and role of a kind of maintenance."""
        return f"{self.registry.name}-{kind}"

    @property
    def mirrors_job(self) -> str:
        """Nomad job, policy and role of the mirrors."""
        return f"{self.registry.name}-mirrors"

    def mirror_service(self, mirror: Mirror) -> str:
        """Consul service and Traefik router of a mirror."""
        return f"{self.registry.service}-mirror-{mirror.name}"

    @property
    def mirrors_metrics_service(self) -> str:
        """Consul service of all mirrors' metrics, which no mirror's own service can be called."""
        return f"{self.registry.service}-mirrors-metrics"

    def mirror_hostname(self, mirror: Mirror) -> str:
        """Host name of a mirror at Traefik."""
        return mirror.hostname or f"{mirror.name}.{self.registry.hostname}"

    def mirror_port_url(self, mirror: Mirror) -> str:
        """The URL of a mirror's own port."""
        scheme = "https" if self.tls.mode == "registry" else "http"
        return f"{scheme}://{self.registry.hostname}:{mirror.port}"

    def mirror_url(self, mirror: Mirror) -> str:
        """The URL that clients of a mirror use."""
        if self.tls.mode == "plain":
            return self.mirror_port_url(mirror)
        return f"https://{self.mirror_hostname(mirror)}" + (
            "" if self.tls.port == 443 else f":{self.tls.port}"
        )

    @property
    def exporter_job(self) -> str:
        """Nomad job of the exporter, with `monitoring`."""
        return f"{self.registry.name}-exporter"

    @property
    def exporter_service(self) -> str:
        """Its Consul service."""
        return f"{self.registry.service}-exporter"

    @property
    def job_names(self) -> frozenset[str]:
        """Every job that the stack may have at Nomad, also those that its settings turned off just now."""
        maintenance = (self.maintenance_job(kind) for kind in _MAINTENANCE)
        others = (self.keys_job, self.pull_job, self.mirrors_job, self.exporter_job)
        return frozenset((self.registry.name, *others, *maintenance))

    @property
    def oidc_mount(self) -> str:
        """Vault's auth method for people, with `auth.oidc`."""
        return f"{self.registry.name}-oidc"

    @property
    def pki_mount(self) -> str:
        """Mount of the PKI engine that signs the registry's certificate."""
        return self.tls.authority.mount or f"{self.registry.name}-pki"

    @property
    def pki_role(self) -> str:
        """Role at that mount."""
        return self.tls.authority.role or self.registry.name

    @property
    def pki_description(self) -> str:
        """Description of the engine that the program makes; tells it from one of somebody else's."""
        return f"Certificates of {self.registry.name}"

    @property
    def issue_path(self) -> str | None:
        """Where the job asks Vault for the registry's certificate."""
        return f"{self.pki_mount}/issue/{self.pki_role}" if self.tls.mode == "registry" else None

    @property
    def makes_authority(self) -> bool:
        """Whether the program makes the certificate authority itself."""
        return self.tls.mode == "registry" and self.tls.authority.role is None
