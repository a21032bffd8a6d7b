"""One cluster on this machine: its folder, its ports, and the addresses that follow from them."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

HOSTNAME = "registry.homelab.local"
NEAR = ("127.0.0.1", "localhost", HOSTNAME, f".{HOSTNAME}")  # all that a cluster serves is on loopback
LOOPBACK = "127.0.0.1"
CONTAINER_USER = 1000  # for the containers, when this program runs as root


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Every fixed port of an instance; the defaults are the servers' own standard ports."""

    consul_http: int = 8500
    consul_server: int = 8300
    consul_serf_lan: int = 8301
    consul_serf_wan: int = 8302
    vault_api: int = 8200
    vault_cluster: int = 8201
    nomad_http: int = 4646
    nomad_rpc: int = 4647
    nomad_serf: int = 4648
    traefik_tls: int = 8443
    traefik_api: int = 8081
    registry: int = 5000
    registry_debug: int = 5001
    dynamic_first: int = 23000  # what Nomad gives to jobs
    dynamic_last: int = 23099

    @classmethod
    def shifted(cls, block: int) -> "Ports":
        """Ports of a further instance; blocks 1 to 8 never meet each other, nor the kernel's own range."""
        standard = cls()
        shift = 19_000 + 600 * block
        moved = {
            name: port + shift for name, port in asdict(standard).items() if not name.startswith("dynamic")
        }
        first = standard.dynamic_first + 100 * block
        return cls(**moved, dynamic_first=first, dynamic_last=first + 99)

    def __iter__(self) -> Iterator[int]:
        """Every fixed port."""
        return (port for name, port in asdict(self).items() if not name.startswith("dynamic"))


@dataclass(frozen=True, kw_only=True)
class Instance:
    """Where an instance lives and what it is called."""

    root: Path
    ports: Ports = field(default_factory=Ports)
    own_engine: bool = False  # True: a dockerd of its own even if one is running
    raw_exec: bool = False  # True: Nomad may run plain commands, which tests of the plugins do
    acl: bool = False  # True: Nomad and Consul ask for tokens

    @property
    def label(self) -> str:
        """A short name for what is global on a machine (bridge, runtime folder): at most 11 characters."""
        return f"dr-{hashlib.sha256(str(self.root).encode()).hexdigest()[:8]}"

    @property
    def bin(self) -> Path:
        """Links to the programs of the cluster."""
        return self.root / "bin"

    @property
    def logs(self) -> Path:
        """One log file per server."""
        return self.root / "logs"

    @property
    def volumes(self) -> Path:
        """Host volumes, by storage class."""
        return self.root / "volumes"

    @property
    def registry_volume(self) -> Path:
        """The directory that Nomad offers as `registry_data`."""
        return self.volumes / "high_capacity" / "registry_data"

    @property
    def staging_volume(self) -> Path:
        """The directory that Nomad offers as `registry_staging_data`, for a second stack."""
        return self.volumes / "high_capacity" / "registry_staging_data"

    @property
    def auth_volume(self) -> Path:
        """The directory that Nomad offers as `registry_auth`; its docker plugin logs in by the file in it."""
        return self.volumes / "registry_auth"

    @property
    def backup_volume(self) -> Path:
        """The directory that Nomad offers as `registry_backup`."""
        return self.volumes / "registry_backup"

    @property
    def cache_volume(self) -> Path:
        """The directory that Nomad offers as `registry_cache`."""
        return self.volumes / "high_capacity" / "registry_cache"

    @property
    def docker_socket(self) -> Path:
        """Where a dockerd of our own listens."""
        return self.root / "docker.sock"

    @property
    def ca_certificate(self) -> Path:
        """What a client has to trust for Traefik's certificate."""
        return self.root / "tls" / "ca.crt"

    @property
    def pulumi_home(self) -> Path:
        """PULUMI_HOME."""
        return self.root / "pulumi" / "home"

    @property
    def root_token_file(self) -> Path:
        """OpenBao's root token."""
        return self.root / "vault" / "root-token"

    @property
    def nomad_token_file(self) -> Path:
        """Nomad's management token, with ACLs."""
        return self.root / "nomad" / "management-token"

    def consul_token_file(self, name: str) -> Path:
        """A token of Consul, with ACLs: `management`, or the one of an agent."""
        return self.root / "consul" / f"{name}-token"

    @property
    def nomad_address(self) -> str:
        """NOMAD_ADDR."""
        return f"http://{LOOPBACK}:{self.ports.nomad_http}"

    @property
    def consul_address(self) -> str:
        """CONSUL_HTTP_ADDR."""
        return f"http://{LOOPBACK}:{self.ports.consul_http}"

    @property
    def vault_address(self) -> str:
        """VAULT_ADDR."""
        return f"http://{LOOPBACK}:{self.ports.vault_api}"

    @property
    def traefik_address(self) -> str:
        """Traefik's API and its ping."""
        return f"http://{LOOPBACK}:{self.ports.traefik_api}"
